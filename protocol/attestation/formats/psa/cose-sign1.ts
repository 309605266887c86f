import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { encode } from 'cborg'
import { z } from 'zod'
import { parseCbor } from '../../cbor.ts'
import { malformedEvidence, refusedEvidence } from '../../evidence-format.ts'

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

/** One byte each: `18(…)` and `17(…)`. */
const TAG_SIGN1 = 0xd2
const TAG_MAC0 = 0xd1
/** Labels of headers (RFC 9052 §3.1). */
const ALGORITHM = 1
const CRITICAL = 2

const byteString = z.instanceof(Uint8Array)
const structure = z.tuple([
  byteString,
  // Nobody signs it: it is empty, so that a token has one form.
  z.map(z.unknown(), z.unknown()).refine((header) => header.size === 0),
  byteString,
  byteString,
])
const protectedHeader = z.map(z.unknown(), z.unknown())

/**
 * Tagged or not, with an empty unprotected header. Key identifiers and certificates in the protected one are not looked at.
 * Attacker-controlled input. Throws `evidence_malformed`.
 */
export function parseCoseSign1(bytes: Uint8Array): CoseSign1 {
  if (bytes[0] === TAG_MAC0) throw malformedEvidence('A COSE_Mac0 proves nothing to who does not share its key.')
  const content = bytes[0] === TAG_SIGN1 ? bytes.subarray(1) : bytes
  const parts = structure.safeParse(parseCbor(content, { preferred: true })).data
  if (parts === undefined) throw malformedEvidence('The token is no COSE_Sign1 with an empty unprotected header.')
  const [protectedBytes, , payload, signature] = parts
  const header =
    protectedHeader.safeParse(parseCbor(protectedBytes, { preferred: false })).data ?? new Map<unknown, unknown>()
  const algorithm = z.int().safeParse(header.get(ALGORITHM)).data
  if (algorithm === undefined) throw malformedEvidence('The token names no algorithm.')
  return { protectedBytes, algorithm, hasCritical: header.has(CRITICAL), payload, signature }
}

/** ES256, ES384 and ES512 (RFC 9053 §2.1), each with the curve of its size. */
const algorithms: ReadonlyMap<number, { hash: string; curve: string }> = new Map([
  [-7, { hash: 'sha256', curve: 'prime256v1' }],
  [-35, { hash: 'sha384', curve: 'secp384r1' }],
  [-36, { hash: 'sha512', curve: 'secp521r1' }],
])

/** By one of the keys, which come as SubjectPublicKeyInfo from trust anchors. Throws `evidence_refused`. */
export function verifyCoseSign1(token: CoseSign1, keys: readonly Uint8Array[]): void {
  const { protectedBytes, payload, signature } = token
  const algorithm = algorithms.get(token.algorithm)
  if (algorithm === undefined) throw refusedEvidence('psa.algorithm', `Algorithm ${token.algorithm} is not supported.`)
  if (token.hasCritical) throw refusedEvidence('psa.critical_header', 'A header is critical, and not understood.')
  const fitting = keys.map(readKey).filter(({ asymmetricKeyDetails: of }) => of?.namedCurve === algorithm.curve)
  if (fitting.length === 0) throw refusedEvidence('psa.key', 'The key of this device is not one for the algorithm.')
  const signed = encode(['Signature1', protectedBytes, new Uint8Array(), payload])
  // In this encoding a signature of any length but twice that of the curve's order is none.
  const isSignedBy = (key: KeyObject) => verify(algorithm.hash, signed, { key, dsaEncoding: 'ieee-p1363' }, signature)
  if (!fitting.some(isSignedBy)) {
    throw refusedEvidence('psa.signature', 'The token is not signed by the key of this device.')
  }
}

function readKey(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch (cause) {
    throw refusedEvidence('psa.key', 'The key that is known of this device is none.', { cause })
  }
}
