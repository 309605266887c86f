import { fromBase64Padded, toBase64Padded } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import { HASH_BYTES } from './merkle.ts'

/** The body of `add-checkpoint`: what a log asks of a witness (C2SP tlog-witness). */
export interface WitnessRequest {
  /** Of the tree that the witness cosigned last; 0 where it cosigned none. */
  oldSize: number
  /** 32 bytes each: from `oldSize` to the checkpoint's size (RFC 6962 §2.1.2). */
  proof: readonly Uint8Array[]
  /** The signed note, verbatim. */
  checkpoint: string
}

const MAX_PROOF_LINES = 63

/** Throws `log_invalid` for a proof that no witness takes. */
export function formatWitnessRequest({ oldSize, proof, checkpoint }: WitnessRequest): string {
  const isWritable = Number.isSafeInteger(oldSize) && oldSize >= 0 && proof.length <= MAX_PROOF_LINES
  if (!isWritable) throw invalid(`A witness takes a size, and at most ${MAX_PROOF_LINES} hashes.`)
  return `${[`old ${oldSize}`, ...proof.map(toBase64Padded), ''].join('\n')}\n${checkpoint}`
}

/** Attacker-controlled input; of the checkpoint nothing is looked at. Throws `log_invalid`. */
export function parseWitnessRequest(text: string): WitnessRequest {
  const end = text.indexOf('\n\n')
  const [oldLine = '', ...hashes] = text.slice(0, Math.max(0, end)).split('\n')
  const oldSize = Number(/^old (0|[1-9]\d{0,15})$/.exec(oldLine)?.[1] ?? Number.NaN)
  if (!Number.isSafeInteger(oldSize)) throw invalid('The request does not begin with the old size.')
  if (hashes.length > MAX_PROOF_LINES) throw invalid(`A consistency proof has at most ${MAX_PROOF_LINES} hashes.`)
  try {
    const proof = hashes.map((hash) => fromBase64Padded(hash, HASH_BYTES))
    return { oldSize, proof, checkpoint: text.slice(end + 2) }
  } catch (cause) {
    throw new ProtocolError('log_invalid', 'A hash of the consistency proof is not one.', { cause })
  }
}

function invalid(message: string): ProtocolError {
  return new ProtocolError('log_invalid', message)
}
