import { open } from 'node:fs/promises'
import { ProtocolError } from '../../protocol/errors.ts'
import type { ExportReport } from '../../protocol/log/audit-export.ts'
import type { CheckpointKeys } from '../../protocol/log/checkpoint.ts'
import { parseEventFile } from '../../protocol/log/event-file.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { auditEvent, type LoggedEvent } from '../auditor-answers.ts'
import { readLines } from '../read-lines.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { withProgress } from './progress.ts'
import { verifyLines } from './verify-export.ts'
import type { VerifyReport } from './verify-report.ts'

const PIECE_BYTES = 1 << 20
/** A proof is at most 53 hashes and a signed note of 256 KiB; an event 65,535 bytes, and what a person's editor adds. */
const MAX_PROOF_BYTES = 512 << 10
const PROOF_BEGINS = 'c2sp.org/tlog-proof@'
const EXPORT_BEGINS = '{"v":'
const HEAD_BYTES = 32
const STDIN = '-'

/** Of gzip, zstd, xz, bzip2 and zip. */
const compressed = ['1f8b', '28b52ffd', 'fd377a585a00', '425a68', '504b0304']

export interface AuditFile {
  path: string
  kind: 'export' | 'proof'
}

/** Looks at the beginning; `-` is an export on stdin. Exit code 4 for what is no file of either kind. */
export async function openAuditFile(path: string): Promise<AuditFile> {
  if (path === STDIN) return { path, kind: 'export' }
  const head = await readHead(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EISDIR') throw unusable(`${path} is a folder: name the file of an export or of a proof.`)
    throw cannotRead(path, error)
  })
  if (head.length === 0) throw unusable(`${path} is empty: nothing was written to it.`)
  if (compressed.some((magic) => head.toString('hex').startsWith(magic))) {
    throw unusable(`${path} is compressed: unpack it first, for an export as in: zcat FILE | qflare audit verify -`)
  }
  const begin = head.toString('latin1')
  if (begin.startsWith(PROOF_BEGINS)) return { path, kind: 'proof' }
  if (begin.startsWith(EXPORT_BEGINS)) return { path, kind: 'export' }
  throw unusable(`${path} is neither an export of an audit log nor the proof of an event.`)
}

async function readHead(path: string): Promise<Buffer> {
  await using file = await open(path, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
  return buffer.subarray(0, bytesRead)
}

/** Exit code 4 when the disk does not give it. */
export function verifyExportFile(crypto: Primitives, path: string, keys: CheckpointKeys): Promise<ExportReport> {
  const pieces = path === STDIN ? process.stdin : readPieces(path)
  return withProgress((report) => verifyLines(crypto, keys, readLines(pieces), report))
}

/** Each is written over by the next. */
async function* readPieces(path: string): AsyncGenerator<Uint8Array> {
  try {
    await using file = await open(path, 'r')
    const buffer = new Uint8Array(PIECE_BYTES)
    for (;;) {
      const { bytesRead } = await file.read(buffer)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } catch (error) {
    throw cannotRead(path, error)
  }
}

/** `eventPath`: the event beside the proof where it is not given. Exit code 4 for a file that cannot be used. */
export async function verifyProofFile(
  crypto: Primitives,
  path: string,
  eventPath: string | undefined,
  keys: CheckpointKeys,
): Promise<Pick<VerifyReport, 'event' | 'checkpoint' | 'problem'>> {
  const proof = await readSmall(path)
  const entry = await readEntry(eventPath ?? path.replace(/(\.tlog-proof)?$/, '.json'))
  const bytes = new TextEncoder().encode(entry.text)
  try {
    const verified = verifyTlogProof(crypto, proof, bytes, keys)
    const { id, type, at } = entry.event
    return { event: { index: verified.index, id, type, at }, checkpoint: verified.checkpoint, problem: undefined }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return { event: undefined, checkpoint: undefined, problem: { index: undefined, reason: error.message } }
  }
}

/** The bytes that were hashed, as text. */
async function readEntry(path: string): Promise<{ text: string; event: LoggedEvent }> {
  const entry = parseEventFile(await readSmall(path))
  const { data: event } = auditEvent.safeParse(entry?.event)
  if (entry !== undefined && event !== undefined) return { text: entry.text, event }
  throw unusable(`${path} is no event as it was hashed: qflare audit proof writes one.`)
}

async function readSmall(path: string): Promise<string> {
  try {
    await using file = await open(path, 'r')
    if ((await file.stat()).size > MAX_PROOF_BYTES) throw unusable(`${path} is larger than any event or proof.`)
    return new TextDecoder('utf-8', { fatal: true }).decode(await file.readFile())
  } catch (error) {
    throw cannotRead(path, error)
  }
}

function cannotRead(path: string, error: unknown): CommandError {
  if (error instanceof CommandError) return error
  const reason = error instanceof Error && 'code' in error ? error.code : error
  return unusable(`Cannot read ${path} (${String(reason)}).`)
}

function unusable(message: string): CommandError {
  return new CommandError(exitCodes.localState, message)
}
