import { type KeyObject, verify } from 'node:crypto'
import { encode } from 'cborg'

/** A COSE_Sign1 (RFC 9052 §4.2) that could be read. Nothing of it is verified. */
export interface CoseSign1 {
  /** The protected header as it was signed. */
  protectedBytes: Uint8Array
  algorithm: number
  /** Whether it names headers that have to be understood. */
  hasCritical: boolean
  payload: Uint8Array
  signature: Uint8Array
}

/** One byte: `18(…)`. */
export const TAG_SIGN1 = 0xd2
/** Labels of headers (RFC 9052 §3.1). */
export const ALGORITHM = 1
export const CRITICAL = 2

/** ES256, ES384 and ES512 (RFC 9053 §2.1), each with the curve of its size. */
const algorithms: ReadonlyMap<number, { hash: string; curve: string }> = new Map([
  [-7, { hash: 'sha256', curve: 'prime256v1' }],
  [-35, { hash: 'sha384', curve: 'secp384r1' }],
  [-36, { hash: 'sha512', curve: 'secp521r1' }],
])

/** `key`: none of the keys is of the curve of the algorithm. */
export type CoseFault = 'algorithm' | 'critical_header' | 'key' | 'signature'

/** Why the message counts for nothing; undefined where one of the keys signed it, without external data. */
export function findCoseFault(message: CoseSign1, keys: readonly KeyObject[]): CoseFault | undefined {
  const { protectedBytes, payload, signature } = message
  const algorithm = algorithms.get(message.algorithm)
  if (algorithm === undefined) return 'algorithm'
  if (message.hasCritical) return 'critical_header'
  const fitting = keys.filter(({ asymmetricKeyDetails: of }) => of?.namedCurve === algorithm.curve)
  if (fitting.length === 0) return 'key'
  const signed = encode(['Signature1', protectedBytes, new Uint8Array(), payload])
  // In this encoding a signature of any length but twice that of the curve's order is none.
  const isSignedBy = (key: KeyObject) => verify(algorithm.hash, signed, { key, dsaEncoding: 'ieee-p1363' }, signature)
  return fitting.some(isSignedBy) ? undefined : 'signature'
}
