import { z } from 'zod'
import { displayName } from '../enrollment.ts'
import { bytes, bytesWithin, kid, signature, timestamp, uuid } from '../wire.ts'
import { federationPolicyPattern } from './federation-policies.ts'
import { hashText, roundCertificate } from './round-certificate.ts'

/** Wire messages of docs/protocol.md §5: federations, rounds and their keys. Unknown members are refused. */

/** Of one call for round keys, and of one closing. */
export const MAX_ROUND_DEVICES = 10_000
/** Fifteen digits, as a path names it. */
export const MAX_ROUND_NUMBER = 999_999_999_999_999

const roundNumber = z.int().min(0)
const distinct = (ids: readonly string[]) => new Set(ids).size === ids.length
const deviceIds = z.array(uuid).min(1).max(MAX_ROUND_DEVICES).refine(distinct, 'Holds a device twice.')

/** A name that is built in, or tiers with an age: `affirming,warning/900`. */
const federationPolicy = z.string().regex(federationPolicyPattern, 'Not a policy of federations.')

export const federationRequest = z
  .strictObject({ name: displayName, policy: federationPolicy.optional() })
  .meta({ id: 'FederationRequest' })

export const federation = z
  .strictObject({ id: uuid, name: displayName, policy: federationPolicy, createdAt: timestamp })
  .meta({ id: 'Federation' })
export type Federation = z.output<typeof federation>

export const federationMember = z.strictObject({ deviceId: uuid, addedAt: timestamp }).meta({ id: 'FederationMember' })
export type FederationMember = z.output<typeof federationMember>

export const roundRequest = z
  .strictObject({
    /** Above every round of the federation before it; the next one without it. */
    round: z.int().min(1).max(MAX_ROUND_NUMBER).optional(),
    /** Of whom fewer make the round fail; 1 without it. */
    minParticipants: z.int().min(1).max(MAX_ROUND_DEVICES).optional(),
  })
  .meta({ id: 'RoundRequest' })

export const roundOpened = z.strictObject({ round: roundNumber }).meta({ id: 'RoundOpened' })

export const roundStates = ['OPEN', 'CLOSED', 'FAILED'] as const
export type RoundState = (typeof roundStates)[number]

export const round = z
  .strictObject({
    federationId: uuid,
    round: roundNumber,
    state: z.enum(roundStates),
    minParticipants: z.int().min(1),
    /** Devices that a key of this round was given out for. */
    participants: z.int().min(0),
    /** Those of them that said since that they no longer have that epoch's chain. */
    epochGone: z.int().min(0),
    openedAt: timestamp,
    closedAt: timestamp.nullable(),
    aggregateHash: hashText.nullable(),
  })
  .meta({ id: 'Round' })
export type Round = z.output<typeof round>

export const participationStatuses = ['given', 'epoch_gone'] as const
/** What a device was given last in a round. `epoch_gone`: it said since that it no longer has that chain. */
export const roundParticipation = z
  .strictObject({
    deviceId: uuid,
    sessionId: uuid,
    epoch: z.int().min(0),
    status: z.enum(participationStatuses),
    givenAt: timestamp,
  })
  .meta({ id: 'RoundParticipation' })
export type RoundParticipation = z.output<typeof roundParticipation>

export const roundKeysRequest = z
  .strictObject({
    /** Without it, every member of the federation. */
    deviceIds: deviceIds.optional(),
  })
  .meta({ id: 'RoundKeysRequest' })

/** Why a device gets no key; it never stops the others. docs/protocol.md §5 says what each means. */
export const roundRefusals = [
  'not_member',
  'not_active',
  'quarantined',
  'no_session',
  'attestation_required',
  'attestation_overdue',
  'attestation_stale',
  'tier_refused',
  'epoch_unavailable',
] as const
export type RoundRefusal = (typeof roundRefusals)[number]

/** A key as JSON, with what comes between two of them, is shorter than this. */
export const MAX_ROUND_KEY_JSON_BYTES = 256
const MAX_SEALED_BYTES = MAX_ROUND_DEVICES * MAX_ROUND_KEY_JSON_BYTES

/** AES-256-GCM under a key of purpose `seal` of `sessionId`; `ciphertext` ends with the 16-byte tag. */
export const sealedRoundKeys = z
  .strictObject({ sessionId: uuid, nonce: bytes(12), ciphertext: bytesWithin(16, MAX_SEALED_BYTES) })
  .meta({ id: 'SealedRoundKeys' })
export type SealedRoundKeys = z.output<typeof sealedRoundKeys>

export const roundKeysAnswer = z
  .strictObject({
    /** Of the key that seals; each key inside names its own. */
    epoch: z.int().min(0),
    sealed: sealedRoundKeys,
    refused: z.array(z.strictObject({ deviceId: uuid, code: z.enum(roundRefusals) })),
  })
  .meta({ id: 'RoundKeys' })
export type RoundKeysAnswer = z.output<typeof roundKeysAnswer>

/** What is sealed, as JSON. */
export const roundKeysPlaintext = z.strictObject({
  keys: z
    .array(z.strictObject({ deviceId: uuid, sessionId: uuid, epoch: z.int().min(0), key: bytes(64) }))
    .max(MAX_ROUND_DEVICES),
})
/** `key`: 64 bytes of purpose `round`. Whoever holds it wipes it. */
export type RoundKey = z.output<typeof roundKeysPlaintext>['keys'][number]

export const closeRoundRequest = z
  .strictObject({
    /** Of what the participants' work became. */
    aggregateHash: hashText.optional(),
    /** Those who contributed, of the devices that a key was given out for; all of these without it. */
    participants: z.array(uuid).max(MAX_ROUND_DEVICES).refine(distinct, 'Holds a device twice.').optional(),
  })
  .meta({ id: 'CloseRoundRequest' })

export const roundClosed = z
  .strictObject({ certificate: roundCertificate, signature: z.strictObject({ kid, signature }) })
  .meta({ id: 'RoundClosed' })

/** Which chain the device derives its key of the round from. */
export const membershipAnswer = z.strictObject({ sessionId: uuid, epoch: z.int().min(0) }).meta({ id: 'Membership' })
export type MembershipAnswer = z.output<typeof membershipAnswer>

/** That the device no longer has the chain which it was told; where it names it, a newer one is not meant. */
export const membershipReport = z
  .strictObject({ status: z.literal('epoch_gone'), sessionId: uuid.optional(), epoch: z.int().min(0).optional() })
  .meta({ id: 'MembershipReport' })
