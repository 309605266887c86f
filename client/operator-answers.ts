import { z } from 'zod'
import { apiRoles } from '../protocol/api-roles.ts'
import { principalKinds } from '../protocol/enrollment.ts'
import { sessionStates } from '../protocol/exchange/session-states.ts'
import { trustBundle } from '../protocol/trust.ts'
import { unsignedTrustBundle } from '../protocol/trust-draft.ts'
import { timestamp, uuid } from '../protocol/wire.ts'

// What the server answers an operator (docs/api.md). Members that a newer server adds are passed on, and those that an older
// one does not have yet get what they stand for: nothing here is signed, and an operator's tool should outlive an upgrade.

/** It is printed as it is. */
const secretToken = z.string().regex(/^[\x21-\x7e]{1,256}$/)

export const organization = z.looseObject({ id: uuid, name: z.string(), createdAt: timestamp })
export type Organization = z.output<typeof organization>

/** `token` is shown this once; `expiresAt` is null for one that does not expire. */
export const createdApiToken = z.looseObject({ id: uuid, token: secretToken, expiresAt: timestamp.nullable() })
export type CreatedApiToken = z.output<typeof createdApiToken>

/** With the organization's first admin token. */
export const createdOrganization = organization.extend({ adminToken: createdApiToken })
export type CreatedOrganization = z.output<typeof createdOrganization>

/** Without its secret. */
export const apiToken = z.looseObject({
  id: uuid,
  name: z.string(),
  roles: z.array(z.enum(apiRoles)),
  serviceAdmin: z.boolean(),
  status: z.enum(['open', 'expired', 'revoked']),
  createdAt: timestamp,
  expiresAt: timestamp.nullable(),
  revokedAt: timestamp.nullable(),
})
export type ApiToken = z.output<typeof apiToken>

/** `token` is shown this once. */
export const createdEnrollmentToken = z.looseObject({ id: uuid, token: secretToken, expiresAt: timestamp })
export type CreatedEnrollmentToken = z.output<typeof createdEnrollmentToken>

const MAX_BULK_TOKENS = 500
const createdOfMany = createdEnrollmentToken.extend({ name: z.string().nullable() })
export type CreatedOfMany = z.output<typeof createdOfMany>
export const createdEnrollmentTokens = z.looseObject({ items: z.array(createdOfMany).max(MAX_BULK_TOKENS) })

const type = z.string().nullable().default(null)
const capabilities = z.array(z.string()).default([])

export const enrollmentTokenStatuses = ['open', 'used', 'expired', 'revoked'] as const

export const enrollmentToken = z.looseObject({
  id: uuid,
  kind: z.enum(principalKinds),
  name: z.string().nullable(),
  type,
  capabilities,
  policyId: z.string(),
  status: z.enum(enrollmentTokenStatuses),
  createdAt: timestamp,
  expiresAt: timestamp,
  deviceId: uuid.nullable(),
})
export type EnrollmentToken = z.output<typeof enrollmentToken>

/** One version of an appraisal policy; of `none`, which is built in, `version` and `createdAt` are null. */
export const appraisalPolicy = z.looseObject({
  id: z.string(),
  name: z.string(),
  version: z.int().nullable(),
  policy: z.record(z.string(), z.json()),
  policyHash: z.string(),
  createdAt: timestamp.nullable(),
})
export type AppraisalPolicy = z.output<typeof appraisalPolicy>

export const device = z.looseObject({
  id: uuid,
  name: z.string(),
  kind: z.enum(principalKinds),
  type,
  capabilities,
  status: z.string(),
  spiffeId: z.string(),
  identityKey: z.looseObject({
    kid: z.string(),
    alg: z.string(),
    publicKey: z.string(),
    since: timestamp.optional(),
    rotationDueSince: timestamp.nullable().default(null),
  }),
  activeSessionId: uuid.nullable(),
  slowedUntil: timestamp.nullable().default(null),
  attestationRequiredSince: timestamp.nullable().default(null),
  metadata: z.record(z.string(), z.json()),
  createdAt: timestamp,
  lastSeenAt: timestamp.nullable(),
})
export type Device = z.output<typeof device>

export const session = z.looseObject({
  id: uuid,
  deviceId: uuid,
  state: z.enum(sessionStates),
  suite: z.string(),
  bucket: z.int(),
  createdAt: timestamp,
  confirmedAt: timestamp.nullable(),
  expiresAt: timestamp,
  epochs: z.looseObject({ first: z.int(), last: z.int() }),
})
export type Session = z.output<typeof session>

export const job = z.looseObject({
  name: z.string(),
  queue: z.string(),
  everySeconds: z.number().nullable(),
  dailyAt: z.string().nullable(),
  state: z.string(),
  lastStartedAt: timestamp.nullable(),
  nextRunAt: timestamp.nullable(),
  progress: z.looseObject({ done: z.number(), total: z.number() }).nullable(),
  failed: z.int(),
})
export type Job = z.output<typeof job>

export const failedRun = z.looseObject({
  id: z.string(),
  job: z.string(),
  queue: z.string(),
  failedAt: timestamp,
  attempts: z.int(),
  reason: z.string(),
})
export type FailedRun = z.output<typeof failedRun>

export const startedRun = z.looseObject({ id: z.string() })

/** Where the root of trust is, and what waits for it. The bundles are for `qflare root sign` to verify. */
export const trustDraft = z.looseObject({
  rootKid: z.string(),
  isRootOffline: z.boolean(),
  draft: z
    .looseObject({
      previous: trustBundle,
      next: unsignedTrustBundle,
      awaitedSince: timestamp,
      signBefore: timestamp.nullable(),
    })
    .nullable(),
})
export type TrustDraft = z.output<typeof trustDraft>

export const storedTrust = z.looseObject({ trustSequence: z.int() })
