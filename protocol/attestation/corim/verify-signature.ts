import { createPublicKey, type KeyObject } from 'node:crypto'
import { ProtocolError } from '../../errors.ts'
import { type CoseFault, findCoseFault } from '../cbor/cose-signature.ts'
import { parsePsaKey } from '../formats/psa/parse-key.ts'
import type { CorimSignature } from './envelope.ts'
import { corimInvalid } from './read-members.ts'

const faults: Record<CoseFault, string> = {
  algorithm: 'protected.alg is none of ES256, ES384 and ES512.',
  critical_header: 'protected.crit: a header is critical, and not understood.',
  key: 'protected.alg is of another curve than the key of the signer.',
  signature: 'signature: it is not by the key of the signer.',
}

/** By the key, a SubjectPublicKeyInfo of P-256, P-384 or P-521. Throws `corim_invalid`. */
export function verifySignature({ message }: CorimSignature, spki: Uint8Array): void {
  const fault = findCoseFault(message, [readKey(spki)])
  if (fault !== undefined) throw corimInvalid(faults[fault])
}

/** As keys of PSA devices: what anybody can sign for is none. */
function readKey(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(parsePsaKey(spki)), format: 'der', type: 'spki' })
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw corimInvalid(`The key of the signer: ${cause.message}`, { cause })
  }
}
