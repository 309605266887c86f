import { createHash, timingSafeEqual } from 'node:crypto'
import { refusedEvidence, type TrustAnchor } from '../../evidence-format.ts'
import { parseAnchors, usedAnchors } from '../../x509/anchors.ts'
import { verifyPath } from '../../x509/verify-path.ts'
import type { AttestationObject } from './attestation-object.ts'
import type { AppAttestState, Environment } from './state.ts'

/** AAGUIDs in hex: text, filled up with zeros. */
const environmentsOfAaguids: ReadonlyMap<string, Environment> = new Map([
  [Buffer.from('appattest\0\0\0\0\0\0\0').toString('hex'), 'production'],
  [Buffer.from('appattestdevelop').toString('hex'), 'development'],
])

/** COSE_Key of P-256 for ES256 in front of x, and in front of y (RFC 9053 §7.1.1). */
const COSE_KEY_X = Buffer.from('a5010203262001215820', 'hex')
const COSE_KEY_Y = Buffer.from('225820', 'hex')
const POINT_BYTES = 65

/** "Validating apps that connect to your server" of Apple, but for the App ID, which is the policy's to judge. Throws `evidence_refused`. */
export function verifyAttestedKey(
  { leaf, above, nonce, data }: AttestationObject,
  anchors: readonly TrustAnchor[],
  { binding, now }: { binding: Uint8Array; now: number },
): AppAttestState {
  const trusted = parseAnchors(anchors)
  const path = verifyPath({
    leaf,
    intermediates: [...above, ...trusted.intermediates],
    roots: trusted.roots,
    now,
    check: 'apple-app-attest.path',
    leafKeyUsage: 'digitalSignature',
  })
  if (leaf.publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw refusedEvidence('apple-app-attest.key', 'The key is none of ECDSA on P-256.')
  }
  if (nonce === undefined) {
    throw refusedEvidence('apple-app-attest.extension', 'The certificate of the key has no nonce.')
  }
  if (!timingSafeEqual(nonce, signedDigest(data.bytes, binding))) {
    throw refusedEvidence(
      'apple-app-attest.nonce',
      'The key was attested for another challenge, identity key or session.',
    )
  }
  const point = Buffer.from(leaf.spki).subarray(-POINT_BYTES)
  const keyId = sha256(point)
  if (!keyId.equals(data.credentialId)) {
    throw refusedEvidence(
      'apple-app-attest.key_id',
      'The attestation names another key than the one in the certificate.',
    )
  }
  if (!coseKeyOf(point).equals(data.credentialKey)) {
    throw refusedEvidence('apple-app-attest.credential_key', 'The attestation holds another key than the certificate.')
  }
  if (data.counter !== 0) throw refusedEvidence('apple-app-attest.counter', 'The key has signed already.')
  const environment = environmentsOfAaguids.get(Buffer.from(data.aaguid).toString('hex'))
  if (environment === undefined) {
    throw refusedEvidence('apple-app-attest.environment', 'The attestation is of no environment of App Attest.')
  }
  return {
    key: Buffer.from(leaf.spki).toString('hex'),
    keyId: keyId.toString('hex'),
    appIdHash: Buffer.from(data.appIdHash).toString('hex'),
    environment,
    counter: 0,
    attestedAt: now,
    anchors: usedAnchors(trusted, path),
  }
}

/** What Apple calls the nonce: SHA-256 of what a device says and of what it was asked, which Apple calls `clientDataHash`. */
export function signedDigest(authenticatorData: Uint8Array, binding: Uint8Array): Buffer {
  return sha256(authenticatorData, binding)
}

function sha256(...parts: Uint8Array[]): Buffer {
  return createHash('sha256').update(Buffer.concat(parts)).digest()
}

function coseKeyOf(point: Buffer): Buffer {
  return Buffer.concat([COSE_KEY_X, point.subarray(1, 33), COSE_KEY_Y, point.subarray(33)])
}
