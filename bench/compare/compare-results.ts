import type { Figure } from '../figure.ts'
import type { BenchResult } from '../result.ts'

/** One figure in two results; undefined where only the other one has it. */
export interface ComparedFigure {
  part: string
  name: string
  unit: Figure['unit']
  before: Figure | undefined
  after: Figure | undefined
  /** Of the medians, `after` to `before`; undefined where one is missing or `before` is 0. */
  ratio: number | undefined
  verdict: 'better' | 'worse' | 'alike' | 'only_before' | 'only_after'
}

/** Within this the verdict is "alike": on a machine that others use, two runs of the same source differ by as much. */
export const NOISE = 0.1

/** Every figure of either result, in the order of `after`, then those that only `before` has. */
export function compareResults(before: BenchResult, after: BenchResult): ComparedFigure[] {
  const keyOf = ({ part, name, unit }: Figure) => JSON.stringify([part, name, unit])
  const old = new Map(before.figures.map((figure) => [keyOf(figure), figure]))
  const compared = after.figures.map((figure) => {
    const other = old.get(keyOf(figure))
    old.delete(keyOf(figure))
    return compare(other, figure)
  })
  return [...compared, ...[...old.values()].map((figure) => compare(figure, undefined))]
}

function compare(before: Figure | undefined, after: Figure | undefined): ComparedFigure {
  const { part, name, unit, better } = (after ?? before) as Figure
  const ratio = before === undefined || after === undefined ? undefined : after.median / before.median
  const known = ratio !== undefined && Number.isFinite(ratio) ? ratio : undefined
  return { part, name, unit, before, after, ratio: known, verdict: verdictOf(before, after, known, better) }
}

function verdictOf(
  before: Figure | undefined,
  after: Figure | undefined,
  ratio: number | undefined,
  better: Figure['better'],
): ComparedFigure['verdict'] {
  if (before === undefined) return 'only_after'
  if (after === undefined) return 'only_before'
  if (ratio === undefined || Math.abs(ratio - 1) <= NOISE) return 'alike'
  return ratio < 1 === (better === 'lower') ? 'better' : 'worse'
}

/** Why figures of the two may differ although the source does not: what of the machines is not the same. */
export function differencesOfHosts(before: BenchResult, after: BenchResult): string[] {
  const names = ['cpuModel', 'cores', 'memoryGiB', 'kernel', 'node', 'openssl', 'postgres'] as const
  return names
    .filter((name) => before.host[name] !== after.host[name])
    .map((name) => `${name}: ${before.host[name] ?? 'none'} → ${after.host[name] ?? 'none'}`)
}
