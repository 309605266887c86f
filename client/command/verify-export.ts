import { ProtocolError } from '../../protocol/errors.ts'
import { createExportVerifier, type ExportReport } from '../../protocol/log/audit-export.ts'
import type { CheckpointKeys } from '../../protocol/log/checkpoint.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { progressText } from './progress-text.ts'

const SHOW_EVERY_LINES = 1024

/** Entries `from` up to, not including, `to`; all that the log has where it is not given. */
export interface AskedRange {
  from?: number | undefined
  to?: number | undefined
}

/** The same, with a problem where the server gave other entries than were asked for: nobody would miss the rest. */
export function requireRange(report: ExportReport, { from = 0, to }: AskedRange): ExportReport {
  const { checkpoint, problem } = report
  if (checkpoint === undefined || problem !== undefined) return report
  const end = to ?? checkpoint.size
  if (report.from === from && report.to === end) return report
  const [given, asked] = [rangeText(report.from, report.to), rangeText(from, end)]
  const reason = `Asked for ${asked}, the server gave ${given} of ${checkpoint.size}.`
  return { ...report, problem: { index: undefined, reason } }
}

/** For people: both ends are in it. */
export function rangeText(from: number, to: number): string {
  return from === to ? 'no entry' : `entries ${from} to ${to - 1}`
}

/** Every line of an export as it comes; what is wrong is in the report. `report`: for `withProgress`. */
export async function verifyLines(
  crypto: Primitives,
  keys: CheckpointKeys,
  lines: AsyncIterable<string>,
  report: (text: string) => void,
): Promise<ExportReport> {
  const verifier = createExportVerifier(crypto, keys)
  const startedAt = performance.now()
  let count = 0
  try {
    for await (const line of lines) {
      verifier.push(line)
      if (count++ % SHOW_EVERY_LINES === 0) {
        report(progressText(verifier.progress(), 'entries', performance.now() - startedAt))
      }
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const found = verifier.finish()
    const reason = [found.problem?.reason, error.message].filter(Boolean).join(' ')
    return { ...found, problem: { index: found.problem?.index, reason } }
  }
  return verifier.finish()
}
