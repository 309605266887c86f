import { type FileHandle, open } from 'node:fs/promises'
import { canonicalJson, type Json } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { ExportReport } from '../../protocol/log/audit-export.ts'
import type { CheckpointKeys } from '../../protocol/log/checkpoint.ts'
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
const HEAD_BYTES = 32

/** Of gzip, zstd, xz, bzip2 and zip. */
const compressed = ['1f8b', '28b52ffd', 'fd377a585a00', '425a68', '504b0304']

export interface AuditFile {
  path: string
  kind: 'export' | 'proof'
}

/** Looks at the beginning. Exit code 4 for what is no file, empty, or compressed. */
export async function openAuditFile(path: string): Promise<AuditFile> {
  await using file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw unusable(`Cannot read ${path} (${error.code ?? error.message}).`)
  })
  if ((await file.stat()).isDirectory())
    throw unusable(`${path} is a folder: name the file of an export or of a proof.`)
  const head = await readHead(file)
  if (head.length === 0) throw unusable(`${path} is empty: nothing was written to it.`)
  const hex = head.toString('hex')
  if (compressed.some((magic) => hex.startsWith(magic))) {
    throw unusable(`${path} is compressed: unpack it first, and verify what comes out.`)
  }
  return { path, kind: head.toString('latin1').startsWith(PROOF_BEGINS) ? 'proof' : 'export' }
}

async function readHead(file: FileHandle): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
  return buffer.subarray(0, bytesRead)
}

/** Exit code 4 when the disk does not give it. */
export async function verifyExportFile(crypto: Primitives, path: string, keys: CheckpointKeys): Promise<ExportReport> {
  await using file = await open(path, 'r')
  const pieces: AsyncIterable<Uint8Array> = file.createReadStream({ highWaterMark: PIECE_BYTES, autoClose: false })
  return withProgress((report) => verifyLines(crypto, keys, readLines(pieces), report))
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

/** The bytes that were hashed, as text. Spaces between members may be anybody's; a member that stands twice may not. */
async function readEntry(path: string): Promise<{ text: string; event: LoggedEvent }> {
  const written = await readSmall(path)
  try {
    const value = JSON.parse(written) as Json
    const text = canonicalJson(value)
    const { data: event } = auditEvent.safeParse(value)
    if (event !== undefined && written.replace(/("[^"\\]*(?:\\.[^"\\]*)*")|\s+/g, '$1') === text) return { text, event }
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof ProtocolError)) throw error
  }
  throw unusable(`${path} is no event as it was hashed: qflare audit proof writes one.`)
}

async function readSmall(path: string): Promise<string> {
  try {
    await using file = await open(path, 'r')
    if ((await file.stat()).size > MAX_PROOF_BYTES) throw unusable(`${path} is larger than any event or proof.`)
    return new TextDecoder('utf-8', { fatal: true }).decode(await file.readFile())
  } catch (error) {
    if (error instanceof CommandError) throw error
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    const hint = code === 'ENOENT' ? ' --event names the file of the event that a proof is of.' : ''
    throw unusable(`Cannot read ${path} (${code}).${hint}`)
  }
}

function unusable(message: string): CommandError {
  return new CommandError(exitCodes.localState, message)
}
