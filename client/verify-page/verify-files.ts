import type { Json } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { createExportVerifier, type ExportReport } from '../../protocol/log/audit-export.ts'
import type { CheckpointKeys, VerifiedCheckpoint } from '../../protocol/log/checkpoint.ts'
import { parseEventFile } from '../../protocol/log/event-file.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import { parseVerifierKey, type VerifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { readLines } from '../read-lines.ts'
import { type VerifiedRoundFile, verifyRound } from './verify-round.ts'

const PIECE_BYTES = 1 << 20
/** A proof is at most 53 hashes and a signed note of 256 KiB; an event 65,535 bytes, and what a person's editor adds. */
const MAX_SMALL_BYTES = 512 << 10
/** The certificate of a round has 100,000 participants at most, of some 420 bytes each. */
const MAX_ROUND_BYTES = 64 << 20
/** How long a person's click may wait for us. */
const SLICE_MS = 30
export const MAX_SHOWN = 200

/** Files that say nothing of the log, good or bad. */
export class UnusableFile extends Error {}

export interface ShownEvent {
  index: number
  event: { [key: string]: Json }
}

/** What is undefined was not reached, or is not of this kind of file. */
export interface Found {
  /** `index`: the first entry at fault, where one can be named. */
  problem: ExportReport['problem']
  checkpoint: VerifiedCheckpoint | undefined
  /** Of an export. */
  entries: Pick<ExportReport, 'from' | 'to' | 'events' | 'hashesOnly'> | undefined
  /** Of a round, where it holds in everything. */
  round: VerifiedRoundFile | undefined
  /** Of a proof and of a round their event; of an export the first 200 that match. */
  shown: ShownEvent[]
  matches: number
}

const nothing: Found = {
  problem: undefined,
  checkpoint: undefined,
  entries: undefined,
  round: undefined,
  shown: [],
  matches: 0,
}

export interface VerifyOptions {
  /** Keys of witnesses are those that have to have signed, all of them. */
  keys: CheckpointKeys
  /** The `kid` of the service's root key, where it is known: it vouches for who signed a round. */
  rootPin: string | undefined
  /** Part of a type or of an id; empty for all. */
  query: string
  signal: AbortSignal
  /** Called often; what it waits for is the page's. */
  onProgress(progress: { done: number; total: number | undefined }): Promise<void>
}

/** One verifier key a line. Throws `UnusableFile`. */
export async function readKeys(crypto: Primitives, files: readonly File[]): Promise<VerifierKey[]> {
  const keys: VerifierKey[] = []
  for (const file of files) {
    const lines = (await readSmall(file)).split('\n').map((line) => line.trim())
    for (const line of lines.filter((one) => one !== '' && !one.startsWith('#'))) {
      try {
        keys.push(parseVerifierKey(crypto, line))
      } catch (error) {
        throw error instanceof ProtocolError ? new UnusableFile(`${file.name}: ${error.message}`) : error
      }
    }
  }
  return keys
}

/** An export, the certificate of a round, or an event and its proof, in any order. Throws `UnusableFile`, and the signal's reason. */
export async function verifyFiles(crypto: Primitives, files: readonly File[], options: VerifyOptions): Promise<Found> {
  const verified = await verifyKind(crypto, files, options)
  return { ...verified, problem: verified.problem ?? findMissingWitness(verified.checkpoint, options.keys) }
}

async function verifyKind(crypto: Primitives, files: readonly File[], options: VerifyOptions): Promise<Found> {
  const found = await findKind(files)
  if (found.kind === 'export') return await verifyExport(crypto, found.file, options)
  if (found.kind === 'round') return await verifyRoundFile(crypto, found.file, options)
  return await verifyProof(crypto, found.proof, found.event, options.keys)
}

async function findKind(files: readonly File[]) {
  const heads = await Promise.all(files.map(async (file) => new TextDecoder('latin1').decode(await headOf(file))))
  const [proof, exported] = ['c2sp.org/tlog-proof@', '{"v":'].map((begin) =>
    files.filter((_, at) => heads[at]?.startsWith(begin)),
  )
  if (files.length === 1 && exported?.[0] !== undefined) return { kind: 'export', file: exported[0] } as const
  const [only] = files
  if (files.length === 1 && only !== undefined && /^\s*\{\s*"certificate"/.test(heads[0] ?? '')) {
    return { kind: 'round', file: only } as const
  }
  const event = files.find((file) => file !== proof?.[0])
  if (files.length === 2 && proof?.length === 1 && proof[0] !== undefined && event !== undefined) {
    return { kind: 'proof', proof: proof[0], event } as const
  }
  const reason =
    'Choose one export (.jsonl, unpacked), the certificate of one round (.json), or both files of a proof: .json and .tlog-proof.'
  throw new UnusableFile(`${files.map(({ name }) => name).join(' and ')}: these do not go together. ${reason}`)
}

function headOf(file: File): Promise<ArrayBuffer> {
  return file.slice(0, 32).arrayBuffer()
}

async function verifyProof(crypto: Primitives, proof: File, event: File, keys: CheckpointKeys): Promise<Found> {
  const entry = parseEventFile(await readSmall(event))
  if (entry === undefined) throw new UnusableFile(`${event.name} is no event as it was hashed.`)
  const text = await readSmall(proof)
  try {
    const { index, checkpoint } = verifyTlogProof(crypto, text, new TextEncoder().encode(entry.text), keys)
    return { ...nothing, checkpoint, shown: [{ index, event: entry.event }], matches: 1 }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return { ...nothing, problem: { index: undefined, reason: error.message } }
  }
}

async function verifyRoundFile(crypto: Primitives, file: File, options: VerifyOptions): Promise<Found> {
  const { keys, rootPin, signal, onProgress } = options
  const text = await readText(file, MAX_ROUND_BYTES)
  // Nothing of it is done in parts: the person sees first that it has begun.
  await onProgress({ done: 0, total: undefined })
  signal.throwIfAborted()
  const verified = verifyRound(crypto, text, { keys, rootPin })
  if ('refused' in verified) return { ...nothing, problem: { index: undefined, reason: verified.refused } }
  const { index, event, checkpoint } = verified
  return { ...nothing, checkpoint, round: verified, shown: [{ index, event }], matches: 1 }
}

async function verifyExport(crypto: Primitives, file: File, options: VerifyOptions): Promise<Found> {
  const { keys, query, signal, onProgress } = options
  const shown: ShownEvent[] = []
  let matches = 0
  const verifier = createExportVerifier(crypto, keys, (index, event) => {
    if (!isMatch(event, query)) return
    matches += 1
    if (shown.length < MAX_SHOWN) shown.push({ index, event })
  })
  let reading: string | undefined
  try {
    let sliceEndsAt = 0
    for await (const line of readLines(piecesOf(file))) {
      verifier.push(line)
      if (performance.now() < sliceEndsAt) continue
      await onProgress(verifier.progress())
      signal.throwIfAborted()
      sliceEndsAt = performance.now() + SLICE_MS
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    reading = error.message
  }
  const { problem, checkpoint, ...entries } = verifier.finish()
  const found = { checkpoint, entries, round: undefined, shown, matches }
  if (reading === undefined) return { ...found, problem }
  const reason = [problem?.reason, reading].filter(Boolean).join(' ')
  return { ...found, problem: { index: problem?.index, reason } }
}

async function* piecesOf(file: File): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.size; at += PIECE_BYTES) {
    yield new Uint8Array(await file.slice(at, at + PIECE_BYTES).arrayBuffer())
  }
}

function isMatch({ id, type, actor, subject }: ShownEvent['event'], query: string): boolean {
  if (query === '') return true
  const named = [id, type, memberOf(actor, 'id'), memberOf(subject, 'deviceId')]
  return named.some((value) => typeof value === 'string' && value.includes(query))
}

export function memberOf(value: Json | undefined, name: string): Json | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.hasOwn(value, name) ? value[name] : undefined
}

function findMissingWitness(checkpoint: VerifiedCheckpoint | undefined, keys: CheckpointKeys): Found['problem'] {
  if (checkpoint === undefined) return undefined
  const signed = new Set(checkpoint.cosignatures.map(({ by }) => by.name))
  const missing = keys.witnesses?.find(({ name }) => !signed.has(name))
  if (missing === undefined) return undefined
  return { index: undefined, reason: `The witness ${missing.name} did not sign the checkpoint.` }
}

function readSmall(file: File): Promise<string> {
  return readText(file, MAX_SMALL_BYTES)
}

async function readText(file: File, most: number): Promise<string> {
  if (file.size > most) throw new UnusableFile(`${file.name} is larger than any such file.`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer())
  } catch (error) {
    throw error instanceof TypeError ? new UnusableFile(`${file.name} is not text.`) : error
  }
}
