import { ProtocolError } from '../../protocol/errors.ts'
import { type ExportReport, formatExportEnd } from '../../protocol/log/audit-export.ts'
import { type CheckpointKeys, parseCheckpointBody } from '../../protocol/log/checkpoint.ts'
import { parseEventFile } from '../../protocol/log/event-file.ts'
import { parseNote } from '../../protocol/log/signed-note.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { auditEvent, type LoggedEvent } from '../auditor-answers.ts'
import { readLines } from '../read-lines.ts'
import { withProgress } from './progress.ts'
import { cannotRead, openRegularFile, readRegularFile, unusable } from './regular-file.ts'
import { verifyLines } from './verify-export.ts'
import type { VerifyReport } from './verify-report.ts'

const PIECE_BYTES = 1 << 20
/** A proof is at most 53 hashes and a signed note of 256 KiB; an event 65,535 bytes, and what a person's editor adds. */
const MAX_PROOF_BYTES = 512 << 10
const PROOF_BEGINS = 'c2sp.org/tlog-proof@'
const EXPORT_BEGINS = '{"v":'
const HEAD_BYTES = 32
const STDIN = '-'
const USE_STDIN = 'An export from a pipe is read on stdin: qflare audit verify -'

/** Of gzip, zstd, xz, bzip2 and zip. */
const compressed = ['1f8b', '28b52ffd', 'fd377a585a00', '425a68', '504b0304']

export interface AuditFile {
  path: string
  kind: 'export' | 'proof'
}

/**
 * Looks at the beginning; `-` is an export on stdin, which is looked at when it is read. Exit code 4 for what is no file of either
 * kind.
 */
export async function openAuditFile(path: string): Promise<AuditFile> {
  if (path === STDIN) return { path, kind: 'export' }
  return { path, kind: kindOf(path, await readHead(path)) }
}

async function readHead(path: string): Promise<Buffer> {
  await using file = await openRegularFile(path).catch((error: unknown) => {
    const { message } = cannotRead(path, error)
    throw unusable(message.endsWith('no regular file.') ? `${message} ${USE_STDIN}` : message)
  })
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } catch (error) {
    throw cannotRead(path, error)
  }
}

/** `head`: at least `HEAD_BYTES` where there are so many. Exit code 4. */
function kindOf(name: string, head: Buffer): AuditFile['kind'] {
  if (head.length === 0) throw unusable(`${name} is empty: nothing was written to it.`)
  if (compressed.some((magic) => head.toString('hex').startsWith(magic))) {
    throw unusable(`${name} is compressed: unpack it first, for an export as in: zcat FILE | qflare audit verify -`)
  }
  const begin = head.toString('latin1')
  if (begin.startsWith(PROOF_BEGINS)) return 'proof'
  if (begin.startsWith(EXPORT_BEGINS)) return 'export'
  throw unusable(`${name} is neither an export of an audit log nor the proof of an event.`)
}

/** Exit code 4 when the disk does not give it. */
export function verifyExportFile(crypto: Primitives, path: string, keys: CheckpointKeys): Promise<ExportReport> {
  const pieces = path === STDIN ? readStdin() : readPieces(path)
  return withProgress((report) => verifyLines(crypto, keys, readLines(pieces), report))
}

/**
 * Whether the first entries of an export, as many as the tree of `checkpoint` has, are what that one was signed over. The export
 * begins with entry 0, and was verified.
 */
export async function isBeginningOf(
  crypto: Primitives,
  path: string,
  checkpoint: string,
  keys: CheckpointKeys,
): Promise<boolean> {
  return (
    (await verifyLines(crypto, keys, beginningOf(readLines(readPieces(path)), checkpoint), () => {})).problem ===
    undefined
  )
}

/** The export as it would have been when the log had that checkpoint. */
async function* beginningOf(lines: AsyncIterable<string>, checkpoint: string): AsyncGenerator<string> {
  const { size } = parseCheckpointBody(parseNote(checkpoint).body)
  let count = 0
  for await (const line of lines) {
    if (count > size) break
    yield count === 0 ? line.replace(/(?<="to":)\d+(?=,"frontier":\[\]\}$)/, String(size)) : line
    count += 1
  }
  yield formatExportEnd(checkpoint, undefined)
}

/** Each is written over by the next. */
async function* readPieces(path: string): AsyncGenerator<Uint8Array> {
  try {
    await using file = await openRegularFile(path)
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

/** What is no export is no log that does not verify, whether it came in a file or not. */
async function* readStdin(): AsyncGenerator<Uint8Array> {
  const name = 'stdin'
  const pieces: AsyncIterable<Uint8Array> = process.stdin
  let head: Buffer | undefined = Buffer.alloc(0)
  try {
    for await (const piece of pieces) {
      if (head === undefined) {
        yield piece
        continue
      }
      head = Buffer.concat([head, piece])
      if (head.length < HEAD_BYTES) continue
      requireExport(name, head)
      yield head
      head = undefined
    }
  } catch (error) {
    throw cannotRead(name, error)
  }
  if (head === undefined) return
  requireExport(name, head)
  yield head
}

function requireExport(name: string, head: Buffer): void {
  if (kindOf(name, head) !== 'export') throw unusable('A proof is read from a file, with its event beside it.')
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
  const bytes = await readRegularFile(path, MAX_PROOF_BYTES)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw cannotRead(path, error)
  }
}
