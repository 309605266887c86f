import { canonicalJson, type Json, toBase64url } from '../../protocol/encoding.ts'
import { keyId } from '../../protocol/key-id.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives, SigningKey } from '../../protocol/primitives.ts'
import {
  type RoundCertificate,
  type RoundCertificateFile,
  type RoundParticipant,
  roundCertificateBytes,
  roundCertificateHash,
  roundCommitment,
} from '../../protocol/rounds/round-certificate.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import type { TrustKey } from '../../protocol/trust.ts'
import { type MemoryLog, makeEntry, makeMemoryLog, makeSigner } from './memory-log.ts'
import { BUCKET, bucketStart, makeBundle, makeTrustKey, seedOf } from './protocol-exchange.ts'
import { toUtf8 } from './protocol-providers.ts'

export const ORGANIZATION = '0197b2f0-0000-7000-8000-000000000001'
export const FEDERATION = '0197b2f0-0000-7000-8000-0000000000fe'
export const ROUND = 7
const TRUST_DOMAIN = 'fleet.example'
/** Where the event stands in the log of the file. */
export const EVENT_INDEX = 3

export const idOf = (kind: string, number: number) =>
  `0197b2f0-${kind}-7c3a-9d44-${number.toString(16).padStart(12, '0')}`

/** The key that the coordinator was given for a participant of `makeCertificate`: 64 bytes. */
export const keyOf = (crypto: Primitives, number: number) => seedOf(crypto, `round key ${number}`, 64)

export function makeParticipant(crypto: Primitives, number: number): RoundParticipant {
  const names = { deviceId: idOf('0001', number), sessionId: idOf('0002', number), epoch: BUCKET }
  const key = keyOf(crypto, number)
  return {
    ...names,
    kid: toBase64url(seedOf(crypto, `identity ${number}`, 32).subarray(0, 16)),
    tier: 'affirming',
    attestationId: idOf('0003', number),
    attestationHash: toBase64url(crypto.hash256(toUtf8(`ear ${number}`))),
    commitment: roundCommitment(crypto, { ...names, federationId: FEDERATION, round: ROUND, key }),
  }
}

export function makeCertificate(crypto: Primitives, change: Partial<RoundCertificate> = {}): RoundCertificate {
  return {
    v: 1,
    trustDomain: TRUST_DOMAIN,
    organizationId: ORGANIZATION,
    federationId: FEDERATION,
    round: ROUND,
    state: 'CLOSED',
    policy: 'production',
    minParticipants: 2,
    openedAt: bucketStart + 1_000,
    closedAt: bucketStart + 200_000,
    aggregateHash: toBase64url(seedOf(crypto, 'aggregate', 32)),
    participants: [1, 2, 3].map((number) => makeParticipant(crypto, number)),
    ...change,
  }
}

/** The keys of a service, each of `label`. */
export function makeAuthority(crypto: Primitives, label = 'service') {
  const make = (use: string) => crypto.importSigningKey('ML-DSA-44', seedOf(crypto, `${label} ${use}`, 32))
  const [root, attestation, bucket] = [make('root'), make('attestation'), make('bucket')]
  const auditSigner = makeSigner(crypto, 'cosignature', `${TRUST_DOMAIN}/audit`, `${label} audit`)
  const record = (key: SigningKey, use: TrustKey['use']) => makeTrustKey(crypto, key, use)
  const keys = [
    record(root, 'root'),
    record(bucket, 'bucket'),
    record(attestation, 'attestation'),
    makeTrustKey(crypto, { ...root, publicKey: auditSigner.by.key.publicKey }, 'audit'),
  ]
  const bundle = makeBundle(crypto, { sequence: 1, keys, signers: [root], trustDomain: TRUST_DOMAIN })
  const kidOf = (key: { alg: string; publicKey: Uint8Array }) => keyId(crypto, key.alg, key.publicKey)
  return { root, attestation, bucket, auditSigner, keys, bundle, pin: kidOf(root), kidOf }
}
export type TestAuthority = ReturnType<typeof makeAuthority>

/** The event of a certificate, as the service logs it. */
export function makeRoundEvent(crypto: Primitives, certificate: RoundCertificate): { [key: string]: Json } {
  const { federationId, round, organizationId, closedAt, state } = certificate
  return {
    v: 1,
    id: idOf('0004', 1),
    at: closedAt,
    organizationId,
    actor: { type: 'coordinator', id: idOf('0005', 1) },
    type: state === 'CLOSED' ? 'round.closed' : 'round.failed',
    severity: 'info',
    subject: { federationId, round },
    data: { certificateHash: roundCertificateHash(crypto, certificate) },
    requestId: NIL_UUID,
    salt: toBase64url(seedOf(crypto, 'salt', 32).subarray(0, 16)),
  }
}

/** A log of ten entries, in which `event` is one. */
export function logOf(
  crypto: Primitives,
  event: { [key: string]: Json },
  signer: TestAuthority['auditSigner'],
): MemoryLog {
  const entries = Array.from({ length: 10 }, (_, index) =>
    index === EVENT_INDEX ? canonicalJson(event) : makeEntry(index),
  )
  return makeMemoryLog(crypto, entries, [signer])
}

/** A whole file of a certificate, right in everything. */
export function makeCertificateFile(
  crypto: Primitives,
  authority: TestAuthority,
  certificate = makeCertificate(crypto),
): RoundCertificateFile {
  const event = makeRoundEvent(crypto, certificate)
  const { attestation, kidOf, bundle } = authority
  return {
    certificate,
    signature: {
      kid: kidOf(attestation),
      signature: attestation.sign(roundCertificateBytes(certificate), signatureContexts.round),
    },
    event,
    proof: logOf(crypto, event, authority.auditSigner).proofText(EVENT_INDEX),
    trust: [bundle],
  }
}
