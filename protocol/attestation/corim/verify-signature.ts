import { createPublicKey, type KeyObject } from 'node:crypto'
import { type CoseFault, findCoseFault } from '../cbor/cose-signature.ts'
import type { CorimSignature } from './envelope.ts'
import { corimInvalid } from './read-members.ts'

const faults: Record<CoseFault, string> = {
  algorithm: 'protected.alg is none of ES256, ES384 and ES512.',
  critical_header: 'protected.crit: a header is critical, and not understood.',
  key: 'protected.alg is of another curve than the key of the signer.',
  signature: 'signature: it is not by the key of the signer.',
}

/** By the key, a SubjectPublicKeyInfo. Throws `corim_invalid`. */
export function verifySignature({ message }: CorimSignature, spki: Uint8Array): void {
  const fault = findCoseFault(message, [readKey(spki)])
  if (fault !== undefined) throw corimInvalid(faults[fault])
}

function readKey(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch (cause) {
    throw corimInvalid('The key of the signer is none.', { cause })
  }
}
