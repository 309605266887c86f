import { z } from 'zod'
import { canonicalJson, encode, type Json, uuidToBytes } from './encoding.ts'
import type { Primitives } from './primitives.ts'
import { type SignatureAlgorithm, signatureAlgorithms } from './suites.ts'
import { trustBundle } from './trust.ts'
import { bytes, json, printable, signature, signatureAlgorithm, timestamp, uuid } from './wire.ts'

/** Wire messages and signed bytes of docs/protocol.md §3. */

export const principalKinds = ['device', 'coordinator'] as const
export type PrincipalKind = (typeof principalKinds)[number]
export const principalStatuses = ['PENDING', 'ACTIVE', 'QUARANTINED', 'SUSPENDED', 'REVOKED'] as const
export type PrincipalStatus = (typeof principalStatuses)[number]

export const enrollmentStart = z.strictObject({ token: z.string().max(128) })

export const enrollmentChallenge = z
  .strictObject({
    enrollmentId: uuid,
    challenge: bytes(32),
    expiresAt: timestamp,
    policy: z.strictObject({
      evidence: z.array(z.string().max(64)).max(16),
      identityAlgorithms: z.array(signatureAlgorithm).max(8),
    }),
    trust: trustBundle,
  })
  .meta({ id: 'EnrollmentChallenge' })
export type EnrollmentChallenge = z.output<typeof enrollmentChallenge>

const publicKeyLengths = Object.values(signatureAlgorithms).map((algorithm) => algorithm.publicKeyBytes) as [
  number,
  ...number[],
]

/** What is left when everything that shows nothing is taken out; U+2800 is the braille pattern without dots. */
const visible = /[^\p{White_Space}\p{Default_Ignorable_Code_Point}\u2800]/u
/** Of a device or coordinator, and of whatever else people name: 1 to 128 characters, at least one of them visible. */
export const displayName = printable
  .min(1)
  .max(128)
  .refine((name) => visible.test(name), 'Holds no visible character.')
/** How a name may begin: with blanks too. */
export const displayNamePrefix = printable.min(1).max(128)

const MAX_METADATA_MEMBERS = 32
/** What an edge team wants to remember of a device; nobody vouches for it. */
export const deviceMetadata = z
  .record(printable.max(64), z.union([printable.max(256), z.number(), z.boolean()]))
  .refine((members) => Object.keys(members).length <= MAX_METADATA_MEMBERS, `At most ${MAX_METADATA_MEMBERS} members.`)

export const enrollmentCompletion = z
  .strictObject({
    name: displayName,
    kind: z.enum(principalKinds),
    identityKey: z.strictObject({ alg: signatureAlgorithm, publicKey: bytes(...publicKeyLengths) }),
    /** Not parsed by format yet. */
    evidence: z.array(z.record(z.string(), json)).min(1).max(8),
    metadata: deviceMetadata.default({}),
    signature,
  })
  .meta({ id: 'EnrollmentCompletion' })
export type EnrollmentCompletion = z.output<typeof enrollmentCompletion>

export const enrollmentAnswer = z
  .strictObject({
    deviceId: uuid,
    spiffeId: z.string(),
    status: z.string(),
    attestation: z.strictObject({
      id: uuid,
      tier: z.string(),
      policyId: z.string(),
      appraisedAt: timestamp,
      expiresAt: timestamp,
      ear: z.string(),
    }),
    trust: trustBundle,
  })
  .meta({ id: 'EnrolledDevice' })

/** 64 bytes. */
export function evidenceDigest(crypto: Primitives, evidence: Json): Uint8Array {
  return crypto.hash512(encode('QFLARE-v1 evidence', canonicalJson(evidence)))
}

/** The bytes that a new identity key signs; `challenge` has 32 bytes, both digests 64. */
export function enrollmentBytes(enrollment: {
  enrollmentId: string
  challenge: Uint8Array
  alg: SignatureAlgorithm
  publicKey: Uint8Array
  name: string
  kind: PrincipalKind
  evidenceDigest: Uint8Array
  trustDigest: Uint8Array
}): Uint8Array {
  return encode(
    'QFLARE-v1 enroll',
    uuidToBytes(enrollment.enrollmentId),
    enrollment.challenge,
    enrollment.alg,
    enrollment.publicKey,
    enrollment.name,
    enrollment.kind,
    enrollment.evidenceDigest,
    enrollment.trustDigest,
  )
}

/** The nonce that evidence carries, 32 bytes; `sessionId` is undefined at enrolment. */
export function attestationBinding(
  crypto: Primitives,
  bound: { challenge: Uint8Array; alg: SignatureAlgorithm; publicKey: Uint8Array; sessionId: string | undefined },
): Uint8Array {
  const sessionId = bound.sessionId === undefined ? new Uint8Array(0) : uuidToBytes(bound.sessionId)
  return crypto.hash256(encode('QFLARE-v1 attest', bound.challenge, bound.alg, bound.publicKey, sessionId))
}
