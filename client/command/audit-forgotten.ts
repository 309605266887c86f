import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { auditKeyFlags, findLogKeys } from './audit-keys.ts'
import { defineCommand } from './define-command.ts'
import { type ExitCode, exitCodes, usageError } from './exit-codes.ts'
import { type Destruction, findForgottenKey, type KeyName, type KeyRecord } from './forgotten-key.ts'
import { formatTime, printResult, toIsoTime, toList } from './print.ts'
import { type ProofFiles, writeProofFiles } from './proof-files.ts'
import { cannotWrite } from './secret-file.ts'
import { auditorNotes, openAuditorOf } from './settings.ts'

const numberFlag = {
  type: 'string',
  value: 'N',
  parse: (text: string) => (/^(0|[1-9]\d{0,9})$/.test(text) ? Number(text) : undefined),
  expects: 'the number of a time bucket: milliseconds since the Unix epoch, divided by 300,000',
} as const

/** What each way of destroying means, for who has to rely on it. */
const ways: Record<string, string> = {
  erased: 'erased: deleted from memory that keeps nothing',
  'best-effort': 'best-effort: deleted from a medium that may keep a copy',
  observed: 'observed: it was gone before the service came to delete it',
}

const outcomes = { destroyed: exitCodes.ok, 'not destroyed': exitCodes.notDestroyed, unknown: exitCodes.unknownKey }
type Outcome = keyof typeof outcomes

export const auditForgotten = defineCommand({
  name: 'audit forgotten',
  summary: 'Proves that the key of a time bucket, or of an epoch of sessions, was destroyed: every record of it.',
  flags: {
    bucket: { ...numberFlag, help: 'the key that exchanges of this time bucket were made with' },
    epoch: { ...numberFlag, help: 'the key under which the sessions’ chains of this epoch were sealed' },
    ...auditKeyFlags,
    out: { type: 'string', value: 'DIR', help: 'a folder for the events and their proofs, for qflare audit verify' },
  },
  examples: [
    'qflare audit forgotten --epoch 5984394 --key audit.vkey',
    'qflare audit forgotten --bucket 5984394 --pin ROOT_KID --out forgotten',
  ],
  notes: `The number of an epoch or bucket is in session.opened of a session. What it proves is that the service signed that it deleted the record; that no copy of it was made before, nobody can prove.\n\n${auditorNotes}`,
  exitNotes:
    'Here 0 means destroyed and proven; 5 that a record of the key is not destroyed, or its event not published yet; 6 that the log has no such key.',
  async run({ values }): Promise<ExitCode> {
    const { bucket, epoch, out, key, pin, json } = values
    if (key !== undefined && pin !== undefined) throw usageError('Either --key or --pin.')
    if ((bucket === undefined) === (epoch === undefined)) throw usageError('Either --bucket N or --epoch N.')
    const name: KeyName =
      bucket === undefined ? { kind: 'epoch', number: epoch ?? 0 } : { kind: 'bucket', number: bucket }
    const crypto = await choosePrimitives()
    const auditor = await openAuditorOf(values)
    const log = await findLogKeys(crypto, values, auditor)
    const records = await findForgottenKey(crypto, auditor, log, name)
    const files = out === undefined ? [] : await writeFiles(out, name, records)
    const outcome = outcomeOf(records)
    const shown = { ...name, outcome, records: records.map((one) => toJson(one, files)) }
    await printResult(json, shown, toText(name, outcome, records, files))
    return outcomes[outcome]
  },
})

function outcomeOf(records: readonly KeyRecord[]): Outcome {
  if (records.length === 0) return 'unknown'
  return records.every(({ destruction }) => destruction !== undefined) ? 'destroyed' : 'not destroyed'
}

type WrittenFiles = ProofFiles & { of: KeyRecord }

/** Exit code 4. */
async function writeFiles(
  folder: string,
  { kind, number }: KeyName,
  records: readonly KeyRecord[],
): Promise<WrittenFiles[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(folder, error)
  })
  const written: WrittenFiles[] = []
  for (const [place, record] of records.entries()) {
    const { destruction } = record
    if (destruction === undefined) continue
    const path = join(folder, `${kind}-${number}-${place}`)
    written.push({ of: record, ...(await writeProofFiles(path, destruction.entry, destruction.proof)) })
  }
  return written
}

function toJson(record: KeyRecord, files: readonly WrittenFiles[]) {
  const { generation, recordHash, madeAt, destruction } = record
  const written = files.find(({ of }) => of === record)
  const { entry: _entry, proof: _proof, ...destroyed } = destruction ?? {}
  return {
    generation,
    recordHash,
    madeAt: madeAt ?? null,
    destroyed: destruction === undefined ? null : destroyed,
    ...(written === undefined ? {} : { files: { event: written.event, proof: written.proof } }),
  }
}

function toText(
  { kind, number }: KeyName,
  outcome: Outcome,
  records: readonly KeyRecord[],
  files: readonly WrittenFiles[],
): string {
  const [from, to] = [number * BUCKET_MS, (number + 1) * BUCKET_MS].map(toIsoTime)
  const title = toList([[kind, `${number}, from ${from} to ${to}`]])
  if (outcome === 'unknown') {
    return `${title}\n\nThe log has no such key: none was made for that time, none has been made yet, or the bodies of its entries were removed as too old.`
  }
  const blocks = records.map((one) => toList(rowsOf(one, files)))
  return [title, ...blocks, conclusionOf(kind, outcome)].join('\n\n')
}

function rowsOf(record: KeyRecord, files: readonly WrittenFiles[]): [string, string | number][] {
  const { generation, recordHash, madeAt, destruction } = record
  const now = Date.now()
  const begun: [string, string | number][] = [
    ['generation', generation],
    ['record', `${recordHash} (SHA3-256)`],
    ...(madeAt === undefined ? [] : [['made', formatTime(madeAt, now)] as [string, string]]),
  ]
  if (destruction === undefined) return [...begun, ['destroyed', 'not yet, as far as the log is published']]
  const { at, how, eventId, index, logSize, signedAt } = destruction
  const written = files.find(({ of }) => of === record)
  return [
    ...begun,
    ['destroyed', formatTime(at, now)],
    ['how', ways[how] ?? how],
    ...sessionsOf(destruction),
    ['event', `${eventId}, ${destruction.type}`],
    ['proven', `entry ${index} of a log of ${logSize}, signed ${formatTime(signedAt, now)}`],
    ...(written === undefined ? [] : [['files', `${written.event}, ${written.proof}`] as [string, string]]),
  ]
}

function sessionsOf({ sessions, countedAt }: Destruction): [string, string][] {
  if (sessions === undefined || countedAt === undefined) return []
  return [['sessions', `${sessions} had a chain under it, counted ${toIsoTime(countedAt)}`]]
}

function conclusionOf(kind: KeyName['kind'], outcome: Outcome): string {
  if (outcome === 'not destroyed') return 'Not proven: the log does not say of every record that it was destroyed.'
  const opens =
    kind === 'bucket'
      ? 'answers an exchange of that bucket, or computes again what those that were recorded agreed on'
      : 'opens the chain of any session in that epoch'
  return [
    'Proven: whoever has the key of the log signed that the service deleted the record, how, and when. Nothing that the service kept since',
    `${opens}.\nNot proven: that the deletion took place as it was signed, that nobody made a copy before, and that the server showed every record.`,
  ].join(' ')
}
