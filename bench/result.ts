import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { figure } from './figure.ts'

/** Raised when a figure of an old name means something else, so that two results are compared only when they may be. */
export const RESULT_VERSION = 1

/** The machine and the software, without anything that names a person or a place. */
export const host = z.strictObject({
  cpuModel: z.string(),
  cores: z.int(),
  memoryGiB: z.number(),
  kernel: z.string(),
  node: z.string(),
  openssl: z.string(),
  /** Null when no part of the run started it. */
  postgres: z.string().nullable(),
  /** Of the source; null outside a repository. */
  commit: z.string().nullable(),
  /** True when the source was not exactly that commit. */
  changed: z.boolean(),
  /** Over 1, 5 and 15 minutes, when the run ended. */
  loadAverage: z.array(z.number()).length(3),
})
export type Host = z.output<typeof host>

/** What a file in bench/results/ holds. */
export const benchResult = z.strictObject({
  version: z.literal(RESULT_VERSION),
  measuredAt: z.iso.datetime(),
  host,
  options: z.record(z.string(), z.union([z.number(), z.string()])),
  figures: z.array(figure).min(1),
})
export type BenchResult = z.output<typeof benchResult>

/** Throws with the file's name when it is no result of this version. */
export function readResult(file: string): BenchResult {
  const parsed = benchResult.safeParse(JSON.parse(readFileSync(file, 'utf8')))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new Error(
    `${file} is no bench result of version ${RESULT_VERSION}: ${issue?.path.join('.')}: ${issue?.message}`,
  )
}
