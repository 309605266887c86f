import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS, bucketCertificateBytes } from '../../protocol/exchange/bucket.ts'
import { type InitiatedExchange, initiateExchange } from '../../protocol/exchange/initiate.ts'
import type { BucketCertificate, ExchangeRequest } from '../../protocol/exchange/messages.ts'
import { type Responded, respondToExchange } from '../../protocol/exchange/respond.ts'
import { initiateHash, sessionIdOf } from '../../protocol/exchange/transcript.ts'
import { keyId } from '../../protocol/key-id.ts'
import type { DecapsulationKey, Primitives, SigningKey } from '../../protocol/primitives.ts'
import { type SignatureAlgorithm, signatureContexts } from '../../protocol/suites.ts'
import { type TrustBundle, type TrustKey, trustBundleBytes } from '../../protocol/trust.ts'

export const BUCKET = 5_984_394
export const bucketStart = BUCKET * BUCKET_MS
export const expiresAt = bucketStart + 3_600_000

export interface TestServer {
  readonly bucketKey: DecapsulationKey
  readonly signingKey: SigningKey
  readonly certificate: BucketCertificate
}

export interface TestDevice {
  readonly deviceId: string
  readonly identityKey: SigningKey
  readonly identitySeed: Uint8Array
}

/** The bytes of `label`, so that a failing test fails again in the same way. */
export function seedOf(crypto: Primitives, label: string, length: 32 | 64): Uint8Array {
  const seed = new TextEncoder().encode(label)
  return Uint8Array.from(length === 32 ? crypto.hash256(seed) : crypto.hash512(seed))
}

export function makeServer(crypto: Primitives, label = 'server', bucket = BUCKET): TestServer {
  const signingKey = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, `${label} signing`, 32))
  const bucketKey = crypto.importDecapsulationKey('ML-KEM-1024', seedOf(crypto, `${label} bucket ${bucket}`, 64))
  const unsigned = {
    suite: 'ML-KEM-1024',
    bucket,
    notBefore: bucket * BUCKET_MS,
    notAfter: (bucket + 1) * BUCKET_MS,
    kid: keyId(crypto, signingKey.alg, signingKey.publicKey),
    publicKey: bucketKey.encapsulationKey,
  } as const
  return { bucketKey, signingKey, certificate: signCertificate(signingKey, unsigned) }
}

export function signCertificate(key: SigningKey, unsigned: Omit<BucketCertificate, 'signature'>): BucketCertificate {
  return { ...unsigned, signature: key.sign(bucketCertificateBytes(unsigned), signatureContexts.bucket) }
}

export function makeDevice(crypto: Primitives, number = 1, alg: SignatureAlgorithm = 'ML-DSA-44'): TestDevice {
  const identitySeed = seedOf(crypto, `device ${number}`, 32)
  return {
    deviceId: `0197b2f0-5c1e-7c3a-9d44-${number.toString(16).padStart(12, '0')}`,
    identityKey: crypto.importSigningKey(alg, identitySeed),
    identitySeed,
  }
}

/** What a server does with a request, as docs/protocol.md §4 orders it, without its database. */
export function answerRequest(
  crypto: Primitives,
  server: TestServer,
  identity: { alg: SignatureAlgorithm; publicKey: Uint8Array },
  request: ExchangeRequest,
): Responded {
  const th1 = initiateHash(crypto, request, server.certificate)
  const clientKey = crypto.importEncapsulationKey(request.suite, request.clientKey)
  const identityKey = crypto.importVerificationKey(identity.alg, identity.publicKey)
  if (!identityKey.verify(th1, signatureContexts.exchange, request.signature)) throw new Error('Signature refused.')
  const sessionId = sessionIdOf(request.bucket, th1)
  return respondToExchange(crypto, { request, th1, sessionId, clientKey, bucketKey: server.bucketKey, expiresAt })
}

/** The device's first message and the server's answer to it. */
export function startExchange(crypto: Primitives, device: TestDevice, server: TestServer) {
  const initiated = initiateExchange(crypto, device, server.certificate)
  return { initiated, responded: answerRequest(crypto, server, device.identityKey, initiated.request) }
}

/** `acceptAnswer` uses an exchange up: each attempt gets its own copy. */
export function copyOf(initiated: InitiatedExchange): InitiatedExchange {
  return { ...initiated, sharedSecretS: Uint8Array.from(initiated.sharedSecretS) }
}

export function makeTrustKey(crypto: Primitives, key: SigningKey, use: TrustKey['use']): TrustKey {
  return {
    kid: keyId(crypto, key.alg, key.publicKey),
    alg: key.alg,
    publicKey: toBase64url(key.publicKey),
    use,
    notBefore: bucketStart,
    notAfter: bucketStart + 1000 * BUCKET_MS,
  }
}

export function makeBundle(
  crypto: Primitives,
  bundle: { sequence: number; keys: TrustKey[]; signers: SigningKey[]; trustDomain?: string },
): TrustBundle {
  const { sequence, keys, signers, trustDomain = 'fleet.example' } = bundle
  const message = trustBundleBytes({ trustDomain, sequence, keys })
  const signatures = signers.map((signer) => ({
    kid: keyId(crypto, signer.alg, signer.publicKey),
    signature: signer.sign(message, signatureContexts.trust),
  }))
  return { trustDomain, sequence, keys, signatures }
}
