import type { Tx } from '../../database/open.ts'
import type { Federation } from '../../database/repositories/federations.ts'
import { findEars, listAllParticipants, type Participant } from '../../database/repositories/round-participants.ts'
import type { Round } from '../../database/repositories/rounds.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import {
  MAX_CERTIFIED_PARTICIPANTS,
  type RoundCertificate,
  type RoundParticipant,
} from '../../protocol/rounds/round-certificate.ts'
import { ServiceError } from '../errors.ts'
import type { RoundName } from './derive-round-keys.ts'
import { inSlices } from './in-slices.ts'

export interface Closing {
  /** 43 characters of base64url. */
  aggregateHash: string | undefined
  /** Those who contributed, of the devices that a key was given out for; all of them without it. */
  participants: readonly string[] | undefined
}

/** Attestation results that are read at once: each has some kilobytes. */
const READ_AT_ONCE = 500
/** Hashed between two turns of other requests. */
const SLICE_LENGTH = 100

/** Who was in a round, as its certificate says it. The round is locked by the caller. Throws `round_state`. */
export async function listRoundParticipants(
  tx: Tx,
  crypto: Primitives,
  name: RoundName,
  closing: Closing,
): Promise<RoundParticipant[]> {
  const contributors = chooseContributors(await listAllParticipants(tx, name.federationId, name.round), closing)
  const listed: RoundParticipant[] = []
  for (let from = 0; from < contributors.length; from += READ_AT_ONCE) {
    const some = contributors.slice(from, from + READ_AT_ONCE)
    const ears = await findEars(
      tx,
      some.map(({ attestationId }) => attestationId),
    )
    await inSlices(some, SLICE_LENGTH, (participant) => {
      const ear = ears.get(participant.attestationId)
      if (ear === undefined) throw new Error(`Attestation result ${participant.attestationId} is gone.`)
      listed.push(toListed(participant, toBase64url(crypto.hash256(new TextEncoder().encode(ear)))))
    })
  }
  return listed
}

/** In ascending order of the devices, as they are stored. */
function chooseContributors(given: readonly Participant[], { participants }: Closing): readonly Participant[] {
  if (participants === undefined) {
    if (given.length <= MAX_CERTIFIED_PARTICIPANTS) return given
    const detail = `participants: more than ${MAX_CERTIFIED_PARTICIPANTS} devices have a key; name those who contributed.`
    throw new ServiceError('round_state', detail)
  }
  const wanted = new Set(participants)
  const chosen = given.filter(({ deviceId }) => wanted.has(deviceId))
  if (chosen.length < wanted.size) {
    throw new ServiceError('round_state', 'participants: no key of this round was given out for one of them.')
  }
  return chosen
}

// Members in the order of their names: what is canonical already is written by one call, not by one for each member.

function toListed(participant: Participant, attestationHash: string): RoundParticipant {
  const { attestationId, commitment, deviceId, epoch, kid, sessionId, tier } = participant
  return { attestationHash, attestationId, commitment, deviceId, epoch, kid, sessionId, tier }
}

export function toRoundCertificate(
  of: { organizationId: string; trustDomain: string; federation: Federation; round: Round; closedAt: number },
  { aggregateHash }: Pick<Closing, 'aggregateHash'>,
  participants: RoundParticipant[],
): RoundCertificate {
  const { minParticipants, openedAt, round } = of.round
  return {
    aggregateHash: aggregateHash ?? null,
    closedAt: of.closedAt,
    federationId: of.federation.id,
    minParticipants,
    openedAt,
    organizationId: of.organizationId,
    participants,
    policy: of.federation.policy,
    round,
    state: participants.length < minParticipants ? 'FAILED' : 'CLOSED',
    trustDomain: of.trustDomain,
    v: 1,
  }
}
