import { z } from 'zod'

/** One thing that was measured: the least, the median and the greatest of its samples, in `unit`. */
export const figure = z.strictObject({
  part: z.string().min(1),
  /** Unique in its part. The same name in two results is the same thing, measured the same way. */
  name: z.string().min(1),
  unit: z.enum(['ms', '/s', 'MiB', 'ratio']),
  better: z.enum(['lower', 'higher']),
  min: z.number(),
  median: z.number(),
  max: z.number(),
  samples: z.int().min(1),
  /** What it should be or be better than, where something was promised. */
  target: z.number().optional(),
})
export type Figure = z.output<typeof figure>

/** Throws RangeError without a sample: a figure of nothing would read as a good one. */
export function summarize(
  of: Pick<Figure, 'part' | 'name' | 'unit'> & Partial<Pick<Figure, 'better' | 'target'>>,
  samples: readonly number[],
): Figure {
  const sorted = samples.toSorted((a, b) => a - b)
  const [min, max] = [sorted[0], sorted.at(-1)]
  if (min === undefined || max === undefined) throw new RangeError(`${of.part}, ${of.name}: nothing was measured.`)
  return { better: 'lower', ...of, min, median: medianOf(sorted), max, samples: sorted.length }
}

export function medianOf(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The smallest sample that at least `share` of all are not above (nearest rank). */
export function percentileOf(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}
