import { createPublicKey, type KeyObject } from 'node:crypto'
import { malformedEvidence } from '../../evidence-format.ts'

const curves = ['prime256v1', 'secp384r1', 'secp521r1']

/** The SubjectPublicKeyInfo of a key that tokens may be signed with, in the one form that OpenSSL writes. Untrusted. Throws `evidence_malformed`. */
export function parsePsaKey(spki: Uint8Array): Uint8Array {
  const key = readKey(spki)
  if (!curves.includes(key.asymmetricKeyDetails?.namedCurve ?? '')) {
    throw malformedEvidence('The key is not one of P-256, P-384 or P-521.')
  }
  const written = writeKey(key)
  if (!written.equals(spki)) throw malformedEvidence('The key is not in the one form of its SubjectPublicKeyInfo.')
  return new Uint8Array(written)
}

/** OpenSSL takes the point at infinity, for which anybody can sign, and does not write it. */
function writeKey(key: KeyObject): Buffer {
  try {
    return key.export({ format: 'der', type: 'spki' })
  } catch (cause) {
    throw malformedEvidence('The key is no point of its curve but that at infinity.', { cause })
  }
}

function readKey(spki: Uint8Array) {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch (cause) {
    throw malformedEvidence('The key is no SubjectPublicKeyInfo in DER.', { cause })
  }
}
