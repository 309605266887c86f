import { toBase64Padded } from '../../protocol/encoding.ts'
import type { VerifiedCheckpoint } from '../../protocol/log/checkpoint.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { formatTime, printable, printResult, toList } from './print.ts'
import { rateText } from './progress-text.ts'
import { rangeText } from './verify-export.ts'
import { countedSignatures, staleWitnesses } from './verify-witnesses.ts'

/** What `qflare audit verify` found. What is undefined was not looked at, or not reached. */
export interface VerifyReport {
  source: string
  /** The first bad entry, where one can be named. Undefined: all that was looked at is what the log signed. */
  problem: { index: number | undefined; reason: string } | undefined
  /** Entries `from` up to, not including, `to`; of `hashesOnly` the hash alone was there. */
  entries: { from: number; to: number; events: number; hashesOnly: number } | undefined
  /** Of a proof. */
  event: { index: number; id: string; type: string; at: number } | undefined
  /** Of the file, or of what was read. */
  checkpoint: VerifiedCheckpoint | undefined
  /** Of the log itself, which continues `checkpoint`. */
  newest: VerifiedCheckpoint | undefined
  witnesses: Witnesses
  elapsedMs: number
}

export interface Witnesses {
  given: number
  needed: number
  /** Whose signatures were looked for. */
  checkpoint: VerifiedCheckpoint | undefined
}

/** On stdout, whatever it says; exit code 1 for a problem. */
export async function printReport(json: boolean | undefined, report: VerifyReport): Promise<void> {
  await printResult(json, toJsonReport(report), toList(toRows(report)))
  const { problem, source } = report
  if (problem === undefined) return
  const at = problem.index === undefined ? '' : ` The first bad entry is ${problem.index}.`
  const message = `${source} does not verify. ${problem.reason}${at} Keep it; docs/auditing.md says what to do next.`
  throw new CommandError(exitCodes.refused, printable(message), 'log_invalid')
}

function toJsonReport(report: VerifyReport) {
  const { source, problem, entries, event, checkpoint, newest, witnesses, elapsedMs } = report
  return {
    verified: problem === undefined,
    complete: isComplete(report),
    source,
    problem: problem === undefined ? null : { index: problem.index ?? null, reason: problem.reason },
    origin: checkpoint?.origin ?? null,
    entries: entries ?? null,
    event: event ?? null,
    checkpoint: toJsonCheckpoint(checkpoint),
    newest: toJsonCheckpoint(newest),
    witnesses: {
      given: witnesses.given,
      needed: witnesses.needed,
      size: witnesses.checkpoint?.size ?? null,
      signed: signedBy(witnesses, Date.now()).map(({ by, at }) => ({ name: by.name, at: at ?? null })),
    },
    warnings: warningsOf(report, Date.now()),
    elapsedMs: Math.round(elapsedMs),
  }
}

function toJsonCheckpoint(checkpoint: VerifiedCheckpoint | undefined) {
  if (checkpoint === undefined) return null
  return { size: checkpoint.size, root: toBase64Padded(checkpoint.root), signedAt: checkpoint.signedAt }
}

/** Whether all entries under the checkpoint were looked at. Null: it is not of entries. */
function isComplete({ entries, checkpoint }: VerifyReport): boolean | null {
  if (entries === undefined) return null
  return checkpoint !== undefined && entries.from === 0 && entries.to === checkpoint.size
}

function warningsOf({ witnesses, newest, checkpoint }: VerifyReport, now: number): string[] {
  const last = newest ?? checkpoint
  if (witnesses.checkpoint === undefined || last === undefined) return []
  return staleWitnesses(witnesses.checkpoint, last, now).map(
    (name) => `${name} has not signed in the ten minutes before the log last did.`,
  )
}

function signedBy({ checkpoint }: Witnesses, now: number) {
  return checkpoint === undefined ? [] : countedSignatures(checkpoint, now)
}

type Row = readonly [string, string]

function toRows(report: VerifyReport): Row[] {
  const { problem, entries, event, checkpoint, newest, witnesses, elapsedMs } = report
  const now = Date.now()
  const isPart = isComplete(report) === false
  return [
    ['verified', problem !== undefined ? 'NO' : isPart ? 'a part' : 'yes'],
    ...(problem === undefined ? [] : problemRows(problem)),
    ...(entries !== undefined && checkpoint !== undefined && isPart
      ? [['part', `${rangeText(entries.from, entries.to)} of ${checkpoint.size}`] as const]
      : []),
    ...(entries === undefined ? [] : entryRows(entries, elapsedMs)),
    ...(event === undefined ? [] : eventRows(event, now)),
    ...(checkpoint === undefined ? [] : checkpointRows(checkpoint, now)),
    ...(newest === undefined
      ? []
      : [['newest', `${counted(newest.size)} entries, signed ${formatTime(newest.signedAt, now)}`] as const]),
    ['witnesses', witnessText(witnesses, now)],
    ...warningsOf(report, now).map((text) => ['warning', text] as const),
  ]
}

function problemRows({ index, reason }: { index: number | undefined; reason: string }): Row[] {
  return [['problem', reason], ...(index === undefined ? [] : [['first bad', String(index)] as const])]
}

function entryRows({ from, to, events, hashesOnly }: NonNullable<VerifyReport['entries']>, elapsedMs: number): Row[] {
  const range = to === from ? '' : ` (${from} to ${to - 1})`
  return [
    ['entries', `${counted(to - from)}${range}, ${rateText(to - from, elapsedMs)}`],
    ['events read', counted(events)],
    ['hashes only', counted(hashesOnly)],
  ]
}

function eventRows({ index, id, type, at }: NonNullable<VerifyReport['event']>, now: number): Row[] {
  return [
    ['event', id],
    ['type', type],
    ['happened', formatTime(at, now)],
    ['index', String(index)],
  ]
}

function checkpointRows(checkpoint: VerifiedCheckpoint, now: number): Row[] {
  return [
    ['log', checkpoint.origin],
    ['size', counted(checkpoint.size)],
    ['root', toBase64Padded(checkpoint.root)],
    ['signed at', formatTime(checkpoint.signedAt, now)],
    ['signed by', [...new Set(checkpoint.signatures.map(({ by }) => by.key.alg))].join(', ')],
  ]
}

function witnessText(witnesses: Witnesses, now: number): string {
  const { given, needed, checkpoint } = witnesses
  if (given === 0) return 'none asked for'
  const signed = signedBy(witnesses, now).map(({ by, at = 0 }) => `${by.name} (${formatTime(at, now)})`)
  if (signed.length === 0) return `none of ${given}; ${needed} needed`
  return `${signed.length} of ${given}, over ${counted(checkpoint?.size ?? 0)} entries: ${signed.join(', ')}; ${needed} needed`
}

function counted(n: number): string {
  return n.toLocaleString('en')
}
