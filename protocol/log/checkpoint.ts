import { concatenate, fromBase64Padded, toBase64Padded, u64 } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'
import { signatureContexts } from '../suites.ts'
import { HASH_BYTES, type TreeHead } from './merkle.ts'
import { formatSignatureLine, isKeyName, type NoteSignature, parseNote } from './signed-note.ts'
import type { VerifierKey } from './verifier-key.ts'

/** What a checkpoint says: that the log of this origin has this tree (C2SP tlog-checkpoint). */
export interface Checkpoint extends TreeHead {
  origin: string
}

/** A signature of a checkpoint that was verified. */
export interface CheckpointSignature {
  by: VerifierKey
  /** Milliseconds since the Unix epoch; undefined for a kind of signature that carries no time. */
  at: number | undefined
  /** As it stands in the note, without its newline. */
  line: string
}

const utf8 = new TextEncoder()
const TIMESTAMP_BYTES = 8
/** The end of the year 9999: what is later is no time of anybody's clock, and soon none that a program can show. */
const MAX_TIMESTAMP_SECONDS = 253_402_300_799

/** The name of a service's log, which its keys sign under too. */
export function logOrigin(trustDomain: string): string {
  return `${trustDomain}/audit`
}

/** The note's body. Throws `log_invalid` for an origin that no checkpoint can hold. */
export function checkpointBody({ origin, size, root }: Checkpoint): string {
  if (!isKeyName(origin)) throw new ProtocolError('log_invalid', `A checkpoint cannot hold the origin ${origin}.`)
  return `${origin}\n${size}\n${toBase64Padded(root)}\n`
}

/**
 * Attacker-controlled input; nothing is verified. Extension lines are refused: an ML-DSA-44 cosignature does not cover them.
 * Throws `log_invalid`.
 */
export function parseCheckpointBody(body: string): Checkpoint {
  const [, origin, size, root] = /^([^\n]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n$/.exec(body) ?? []
  if (origin === undefined || root === undefined || !isKeyName(origin) || !Number.isSafeInteger(Number(size))) {
    throw new ProtocolError('log_invalid', 'This is no checkpoint.')
  }
  try {
    return { origin, size: Number(size), root: fromBase64Padded(root, HASH_BYTES) }
  } catch (cause) {
    throw new ProtocolError('log_invalid', 'This is no checkpoint.', { cause })
  }
}

/** The bytes that an ML-DSA-44 cosignature signs (C2SP tlog-cosignature, `cosigned_message`), for a whole tree. */
export function cosignedMessage(cosignerName: string, timestampSeconds: number, checkpoint: Checkpoint): Uint8Array {
  const name = utf8.encode(cosignerName)
  const origin = utf8.encode(checkpoint.origin)
  return concatenate([
    utf8.encode('subtree/v1\n\0'),
    Uint8Array.of(name.length),
    name,
    u64(timestampSeconds),
    Uint8Array.of(origin.length),
    origin,
    u64(0),
    u64(checkpoint.size),
    checkpoint.root,
  ])
}

/** `signature`: of `cosignedMessage`, 2,420 bytes, context empty. */
export function cosignatureLine(by: VerifierKey, timestampSeconds: number, signature: Uint8Array): string {
  return formatSignatureLine(by.name, by.keyId, concatenate([u64(timestampSeconds), signature]))
}

/** `signature`: of the note's body, 4,627 bytes, context `checkpoint`. */
export function mlDsa87Line(by: VerifierKey, signature: Uint8Array): string {
  return formatSignatureLine(by.name, by.keyId, signature)
}

/** Undefined for a signature of another key. Throws `log_invalid` where it is this key's and does not verify. */
export function verifyCheckpointSignature(
  crypto: Primitives,
  checkpoint: Checkpoint,
  note: NoteSignature,
  by: VerifierKey,
): CheckpointSignature | undefined {
  if (note.name !== by.name || !crypto.equal(note.keyId, by.keyId)) return undefined
  const at = isSignatureOf(checkpoint, note, by)
  if (at === false)
    throw new ProtocolError('log_invalid', `The signature of ${by.name} (${by.key.alg}) does not verify.`)
  return { by, at, line: note.line }
}

/** False where it is not; else the time that it carries. */
function isSignatureOf(
  checkpoint: Checkpoint,
  { signature }: NoteSignature,
  by: VerifierKey,
): number | undefined | false {
  if (by.kind === 'mlDsa87') {
    const body = utf8.encode(checkpointBody(checkpoint))
    return by.key.verify(body, signatureContexts.checkpoint, signature) ? undefined : false
  }
  const seconds = readTimestamp(signature)
  if (seconds === undefined) return false
  const message = cosignedMessage(by.name, seconds, checkpoint)
  return by.key.verify(message, signatureContexts.empty, signature.subarray(TIMESTAMP_BYTES)) ? seconds * 1000 : false
}

function readTimestamp(signature: Uint8Array): number | undefined {
  if (signature.length <= TIMESTAMP_BYTES) return undefined
  const view = new DataView(signature.buffer, signature.byteOffset, TIMESTAMP_BYTES)
  const seconds = view.getUint32(0) * 2 ** 32 + view.getUint32(4)
  return seconds <= MAX_TIMESTAMP_SECONDS ? seconds : undefined
}

/** Whose signatures a reader wants to see. */
export interface CheckpointKeys {
  /**
   * Keys of the log: of each algorithm among them one has to have signed, within its validity. All have the log's origin as their
   * name.
   */
  log: readonly VerifierKey[]
  /**
   * Keys of witnesses; the answer has one cosignature, the newest, of each that signed, by its name. One without a time is none:
   * with it a witness would not say that it saw no larger tree (C2SP tlog-cosignature).
   */
  witnesses?: readonly VerifierKey[]
}

export interface VerifiedCheckpoint extends Checkpoint {
  /** Newest time that a key of the log signed with; milliseconds since the Unix epoch. */
  signedAt: number
  signatures: CheckpointSignature[]
  cosignatures: CheckpointSignature[]
}

/**
 * Attacker-controlled input. Throws `log_invalid` unless the checkpoint is of the keys' log and signed by it; signatures of keys
 * that are not given are ignored, one of a key that is given has to verify.
 */
export function verifyCheckpoint(crypto: Primitives, text: string, keys: CheckpointKeys): VerifiedCheckpoint {
  const note = parseNote(text)
  const checkpoint = parseCheckpointBody(note.body)
  const verifyAll = (by: readonly VerifierKey[]) =>
    note.signatures.flatMap((line) =>
      by.flatMap((key) => verifyCheckpointSignature(crypto, checkpoint, line, key) ?? []),
    )
  const logKeys = keys.log.filter(({ name }) => name === checkpoint.origin)
  if (logKeys.length === 0) {
    throw new ProtocolError('log_invalid', `The checkpoint is of ${checkpoint.origin}, for which no key is given.`)
  }
  const found = verifyAll(logKeys)
  const timely = found.filter(({ by, at }) => at === undefined || isValidAt(by, at))
  const signedAt = Math.max(0, ...timely.flatMap(({ at }) => at ?? []))
  // A signature without a time of its own is as old as the one beside it. Where none is timely, there is no time to be within.
  const signatures = timely.filter(({ by, at }) => at !== undefined || signedAt === 0 || isValidAt(by, signedAt))
  for (const alg of new Set(logKeys.map(({ key }) => key.alg))) {
    if (signatures.some(({ by }) => by.key.alg === alg)) continue
    const untimely = found.find(({ by }) => by.key.alg === alg)
    throw new ProtocolError(
      'log_invalid',
      untimely === undefined ? unsigned(alg, checkpoint) : outside(untimely, signedAt),
    )
  }
  return { ...checkpoint, signedAt, signatures, cosignatures: newestOfEach(verifyAll(keys.witnesses ?? [])) }
}

function isValidAt({ validity }: VerifierKey, at: number): boolean {
  return validity === undefined || (at >= validity.notBefore && at <= validity.notAfter)
}

function unsigned(alg: string, { origin }: Checkpoint): string {
  return `No ${alg} key that is given for ${origin} signed the checkpoint.`
}

function outside({ by, at = 0 }: CheckpointSignature, signedAt: number): string {
  const [when, end] = [at || signedAt, by.validity?.notAfter ?? 0].map((time) => new Date(time).toISOString())
  return `The checkpoint is signed at ${when} by a key of the log (${by.key.alg}) that may not have signed then: it ended at ${end}.`
}

/** Who counts cosignatures counts witnesses: two lines, or two keys, of one name are one of them. */
function newestOfEach(signatures: readonly CheckpointSignature[]): CheckpointSignature[] {
  const byName = new Map<string, CheckpointSignature>()
  for (const signature of signatures) {
    const { at = 0, by } = signature
    if (at > (byName.get(by.name)?.at ?? 0)) byName.set(by.name, signature)
  }
  return [...byName.values()]
}
