import { createPublicKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { ALGORITHM, type CoseSign1, CRITICAL, findCoseFault, TAG_SIGN1 } from '../../cbor/cose-signature.ts'
import { parseCbor } from '../../cbor.ts'
import { malformedEvidence, refusedEvidence } from '../../evidence-format.ts'

/** One byte: `17(…)`. */
const TAG_MAC0 = 0xd1

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

/** By one of the keys, which come as SubjectPublicKeyInfo from trust anchors. Throws `evidence_refused`. */
export function verifyCoseSign1(token: CoseSign1, keys: readonly Uint8Array[]): void {
  switch (findCoseFault(token, keys.map(readKey))) {
    case 'algorithm':
      throw refusedEvidence('psa.algorithm', `Algorithm ${token.algorithm} is not supported.`)
    case 'critical_header':
      throw refusedEvidence('psa.critical_header', 'A header is critical, and not understood.')
    case 'key':
      throw refusedEvidence('psa.key', 'The key of this device is not one for the algorithm.')
    case 'signature':
      throw refusedEvidence('psa.signature', 'The token is not signed by the key of this device.')
    case undefined:
  }
}

function readKey(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch (cause) {
    throw refusedEvidence('psa.key', 'The key that is known of this device is none.', { cause })
  }
}
