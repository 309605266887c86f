import { z } from 'zod'
import { participationStatuses, roundStates } from '../protocol/rounds/messages.ts'
import { timestamp, uuid } from '../protocol/wire.ts'

// What the server answers of federations and their rounds (docs/api.md). As with an operator's, what a newer server adds is passed
// on: nothing here is signed, and keys and certificates have their own, strict form in protocol/rounds.

export const federation = z.looseObject({ id: uuid, name: z.string(), policy: z.string(), createdAt: timestamp })
export type Federation = z.output<typeof federation>

export const federationMember = z.looseObject({ deviceId: uuid, addedAt: timestamp })
export type FederationMember = z.output<typeof federationMember>

export const round = z.looseObject({
  federationId: uuid,
  round: z.int().min(0),
  state: z.enum(roundStates),
  minParticipants: z.int().min(0),
  /** Devices that a key of this round was given out for, and how many of them said that they lost its epoch. */
  participants: z.int().min(0),
  epochGone: z.int().min(0),
  openedAt: timestamp,
  closedAt: timestamp.nullable(),
  aggregateHash: z.string().nullable(),
})
export type Round = z.output<typeof round>

/** What a device was given last in a round, and whether it said since that it has that chain no more (`epoch_gone`). */
export const participation = z.looseObject({
  deviceId: uuid,
  sessionId: uuid,
  epoch: z.int().min(0),
  status: z.enum(participationStatuses),
  givenAt: timestamp,
})
export type Participation = z.output<typeof participation>
