import { fromBase64Padded, toBase64Padded } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'
import { type CheckpointKeys, type VerifiedCheckpoint, verifyCheckpoint } from './checkpoint.ts'
import { HASH_BYTES, leafHash, verifyInclusion } from './merkle.ts'

/** That an entry is in a log, to be verified offline (C2SP tlog-proof). */
export interface TlogProof {
  index: number
  /** 32 bytes each, from the leaf's sibling up. */
  hashes: Uint8Array[]
  /** As the log signed it, verbatim. */
  checkpoint: string
}

const HEADER = 'c2sp.org/tlog-proof@v1'
/** Of a tree of 2^53 leaves. */
const MAX_HASHES = 53

export function formatTlogProof({ index, hashes, checkpoint }: TlogProof): string {
  const lines = [HEADER, `index ${index}`, ...hashes.map(toBase64Padded), '']
  return `${lines.join('\n')}\n${checkpoint}`
}

/** Attacker-controlled input; nothing is verified. Extra data is skipped: nothing authenticates it. Throws `log_invalid`. */
export function parseTlogProof(text: string): TlogProof {
  const end = text.indexOf('\n\n')
  const [header, ...lines] = text.slice(0, Math.max(0, end)).split('\n')
  if (header !== HEADER) throw new ProtocolError('log_invalid', `A proof begins with the line ${HEADER}.`)
  if (lines[0]?.startsWith('extra ') === true) lines.shift()
  const [indexLine = '', ...hashes] = lines
  const index = Number(/^index (0|[1-9]\d{0,15})$/.exec(indexLine)?.[1] ?? Number.NaN)
  if (!Number.isSafeInteger(index)) throw new ProtocolError('log_invalid', 'The proof has no index.')
  if (hashes.length > MAX_HASHES) throw new ProtocolError('log_invalid', 'The proof has too many hashes.')
  try {
    const decoded = hashes.map((hash) => fromBase64Padded(hash, HASH_BYTES))
    return { index, hashes: decoded, checkpoint: text.slice(end + 2) }
  } catch (cause) {
    throw new ProtocolError('log_invalid', 'A hash of the proof is not one.', { cause })
  }
}

/** Attacker-controlled input. `entry`: the event's bytes (`jcs(event)`). Throws `log_invalid`. */
export function verifyTlogProof(
  crypto: Primitives,
  text: string,
  entry: Uint8Array,
  keys: CheckpointKeys,
): { index: number; checkpoint: VerifiedCheckpoint } {
  const proof = parseTlogProof(text)
  const checkpoint = verifyCheckpoint(crypto, proof.checkpoint, keys)
  verifyInclusion(crypto, { hash: leafHash(crypto, entry), index: proof.index }, checkpoint, proof.hashes)
  return { index: proof.index, checkpoint }
}
