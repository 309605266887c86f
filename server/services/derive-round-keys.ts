import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { listRoundCandidates, type RoundCandidate } from '../../database/repositories/round-candidates.ts'
import { grantRoundKeys, type RoundGrant } from '../../database/repositories/round-participants.ts'
import { findRound, lockRound } from '../../database/repositories/rounds.ts'
import { canonicalJson, toBase64url } from '../../protocol/encoding.ts'
import { bucketAt } from '../../protocol/exchange/bucket.ts'
import { communicationKey } from '../../protocol/exchange/epochs.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { getFederationTerms } from '../../protocol/rounds/federation-policies.ts'
import { MAX_ROUND_DEVICES, type RoundKey, type RoundKeysAnswer } from '../../protocol/rounds/messages.ts'
import { sealRoundKeys } from '../../protocol/rounds/sealed-round-keys.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { QueueFullError } from '../../runtime/bounded-queue.ts'
import type { Clock } from '../../runtime/clock.ts'
import { createFairQueue } from '../../runtime/fair-queue.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { actorOf, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { admitCoordinator } from './admit-to-round.ts'
import { changeAs } from './change-as.ts'
import { getFederation } from './federation-access.ts'
import { inSlices } from './in-slices.ts'
import { epochOf, type KeyTerms, openChainAt, roundKeyOf } from './round-key-of.ts'
import { requireOpen } from './rounds.ts'
import { SEALED_CHAIN_BYTES } from './session-chains.ts'
import type { EpochKey, TemporalKeys } from './temporal-keys.ts'

export interface DeriveRoundKeysParts {
  database: Database
  temporalKeys: TemporalKeys
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  metrics: Metrics
}

export interface RoundName {
  federationId: string
  round: number
}

/** `deviceIds`: whom keys are asked for; all members without it. */
export type DeriveRoundKeys = (
  caller: SessionCaller,
  name: RoundName,
  deviceIds: readonly string[] | undefined,
  requestId: string,
) => Promise<RoundKeysAnswer>

/** A call for ten thousand devices takes a core for half a second: so many at once, and so many that wait. */
const CALLS_AT_ONCE = 2
const CALLS_WAITING = 16
/** Half of all: whatever one organization asks for, the others have the other half. */
const CALLS_OF_ONE = 9
/** Keys between which other requests have their turn: some ten milliseconds. */
const SLICE_LENGTH = 250

/**
 * The keys of a round for its coordinator, sealed for its own session (docs/protocol.md §5). A device that gets none is among the
 * refused, and stops nobody. What is given out is written down first, with its event; asking again gives the same.
 */
export function createDeriveRoundKeys(parts: DeriveRoundKeysParts): DeriveRoundKeys {
  const queue = createFairQueue(CALLS_AT_ONCE, CALLS_WAITING, CALLS_OF_ONE)
  return async (caller, ...call) => {
    try {
      return await queue.run(caller.organizationId, () => deriveRoundKeys(parts, caller, ...call))
    } catch (error) {
      if (!(error instanceof QueueFullError)) throw error
      throw new ServiceError('overloaded', 'Too many rounds ask for their keys at once.', { cause: error })
    }
  }
}

async function deriveRoundKeys(
  parts: DeriveRoundKeysParts,
  ...[caller, name, deviceIds, requestId]: Parameters<DeriveRoundKeys>
): Promise<RoundKeysAnswer> {
  const { database, crypto } = parts
  const { organizationId } = caller
  const now = parts.clock.now()
  const chains = { epoch: bucketAt(now), length: SEALED_CHAIN_BYTES, now }
  const { federation, session } = await admitCoordinator(database, caller, name.federationId, chains)
  await database.withOrganization(organizationId, async (tx) =>
    requireOpen(await findRound(tx, name.federationId, name.round)),
  )
  const epochKeys = await findEpochKeys(parts.temporalKeys, chains.epoch)
  const terms = {
    organizationId,
    ...name,
    policy: getFederationTerms(federation.policy),
    now,
    epoch: chains.epoch,
    epochKeys,
  }
  const sealChain = openChainAt(crypto, terms, caller.id, session)
  if (sealChain === undefined) {
    throw new ServiceError('session_state', 'The session has no key of this epoch; begin a new exchange.')
  }
  const derived: Derived = { keys: [], grants: [], refused: [] }
  try {
    const wanted = { ...name, deviceIds, limit: MAX_ROUND_DEVICES + 1 }
    const candidates = await listRoundCandidates(database, organizationId, wanted, chains)
    await deriveInto(derived, crypto, terms, candidates)
    const epoch = epochOf(session, chains.epoch)
    const given = await grant(parts, caller, name, { ...derived, epoch }, requestId)
    const refused = [...derived.refused, ...outrun(derived.keys, given)]
    const sealed = sealRoundKeys(
      crypto,
      { ...name, sessionId: session.id },
      (context) => communicationKey(crypto, sealChain, { sessionId: session.id, epoch, purpose: 'seal', context }),
      derived.keys.filter(({ deviceId }) => given.has(deviceId)),
    )
    parts.metrics.roundKeys.inc({ result: 'given' }, given.size)
    for (const { code } of refused) parts.metrics.roundKeys.inc({ result: code })
    return { epoch, sealed, refused }
  } finally {
    sealChain.fill(0)
    for (const { key } of derived.keys) key.fill(0)
  }
}

/** Of the epoch that is, and of the one that sessions of the next bucket begin with. */
async function findEpochKeys(temporalKeys: TemporalKeys, epoch: number): Promise<Map<number, EpochKey>> {
  const keys = new Map<number, EpochKey>()
  for (const number of [epoch, epoch + 1]) {
    const key = await temporalKeys.findEpochKey(number)
    if (key !== undefined) keys.set(number, key)
  }
  return keys
}

interface Derived {
  keys: RoundKey[]
  /** What is to be written down of each key. */
  grants: RoundGrant[]
  refused: RoundKeysAnswer['refused']
}

async function deriveInto(
  derived: Derived,
  crypto: Primitives,
  terms: KeyTerms,
  candidates: readonly RoundCandidate[],
): Promise<void> {
  if (candidates.length > MAX_ROUND_DEVICES) {
    const detail = `deviceIds: the federation has more than ${MAX_ROUND_DEVICES} members; name so many at most.`
    throw new ServiceError('malformed', detail, { field: 'deviceIds' })
  }
  await inSlices(candidates, SLICE_LENGTH, (candidate) => {
    const found = roundKeyOf(crypto, terms, candidate)
    if (typeof found === 'string') {
      derived.refused.push({ deviceId: candidate.deviceId, code: found })
    } else {
      derived.keys.push(found.key)
      derived.grants.push(found.grant)
    }
  })
}

/** Writes down what is about to go out, and answers for whom it may: who left or moved on meanwhile is not among them. */
async function grant(
  parts: DeriveRoundKeysParts,
  caller: SessionCaller,
  name: RoundName,
  { grants, refused, epoch }: Pick<Derived, 'grants' | 'refused'> & { epoch: number },
  requestId: string,
): Promise<Set<string>> {
  const { organizationId, sessionId } = caller
  return changeAs(parts, caller, async (tx, now) => {
    const round = await lockRound(tx, name.federationId, name.round)
    // Behind the lock, for which it may have waited: whoever was taken off meanwhile is given nothing.
    await getFederation(tx, caller, name.federationId)
    requireOpen(round)
    const given = await grantRoundKeys(tx, name, grants, now)
    if (given.size === 0) return given
    const event = parts.writeEvent(
      {
        organizationId,
        actor: actorOf(caller),
        type: 'round.keys_given',
        subject: { ...name, sessionId },
        data: {
          epoch,
          given: given.size,
          refused: refused.length + grants.length - given.size,
          givenHash: hashGrants(
            parts.crypto,
            grants.filter(({ deviceId }) => given.has(deviceId)),
          ),
        },
        requestId,
      },
      now,
    )
    await insertEvents(tx, [event])
    return given
  })
}

/** H256 of who was given which key, in the order of the devices, as docs/audit-events.md says it. */
function hashGrants(crypto: Primitives, grants: readonly RoundGrant[]): string {
  const rows = grants.map(({ deviceId, sessionId, epoch, commitment }) => [deviceId, sessionId, epoch, commitment])
  return toBase64url(crypto.hash256(new TextEncoder().encode(canonicalJson(rows))))
}

/** Those whose session, membership or epoch was another one by the time that it was written down. */
function outrun(keys: readonly RoundKey[], given: ReadonlySet<string>): RoundKeysAnswer['refused'] {
  const left = keys.filter(({ deviceId }) => !given.has(deviceId))
  return left.map(({ deviceId }) => ({ deviceId, code: 'epoch_unavailable' }))
}
