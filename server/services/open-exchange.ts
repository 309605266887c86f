import { DatabaseError } from '../../database/errors.ts'
import type { Database } from '../../database/open.ts'
import { insertPendingSession } from '../../database/repositories/exchange-changes.ts'
import { type ExchangeParty, findExchangeParty } from '../../database/repositories/exchanges.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { bucketAt, isBucketAccepted } from '../../protocol/exchange/bucket.ts'
import type { ExchangeAnswer, ExchangeRequest } from '../../protocol/exchange/messages.ts'
import { respondToExchange } from '../../protocol/exchange/respond.ts'
import { MAX_PENDING_SESSIONS, SESSION_MS, sessionStateAt } from '../../protocol/exchange/session-states.ts'
import { initiateHash, sessionIdOf } from '../../protocol/exchange/transcript.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { EncapsulationKey, Primitives, VerificationKey } from '../../protocol/primitives.ts'
import { signatureAlgorithms, signatureContexts } from '../../protocol/suites.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { isIdentityKeyGenuine } from '../../runtime/custody/identity-key-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { tagNetwork } from '../../runtime/custody/network-tag.ts'
import type { Claimant, LaneQueue } from '../../runtime/lane-queue.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { ServiceError } from '../errors.ts'
import type { RateLimitState } from '../rate-limit.ts'
import type { RateLimits } from '../rate-limits.ts'
import { createRunOnce, replayed, runQueued, runWithinLimits } from './admit-exchange.ts'
import { makeDummyParty } from './dummy-party.ts'
import { observeExchange } from './observe-exchange.ts'
import type { Passes } from './passes.ts'
import type { NoteRefusal } from './refusal-tally.ts'
import { retryOnConflict } from './retry-on-conflict.ts'
import { sealChains } from './session-chains.ts'
import { sessionEvent, timedOut } from './session-events.ts'
import type { BucketKey, TemporalKeys } from './temporal-keys.ts'

export interface OpenExchangeParts {
  database: Database
  temporalKeys: TemporalKeys
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  queue: LaneQueue
  passes: Passes
  limits: RateLimits
  writeEvent: WriteEvent
  metrics: Metrics
  noteRefusal: NoteRefusal
}

/** `network`: that it came from, where that is known. */
export type OpenExchange = (
  request: ExchangeRequest,
  from: { requestId: string; network: string | undefined },
  claimant: Claimant,
) => Promise<{ answer: ExchangeAnswer; rateLimits: (RateLimitState | undefined)[]; pass: string }>

/** The server's first half of docs/protocol.md §4, its checks in the order that is given there. */
export function createOpenExchange(parts: OpenExchangeParts): OpenExchange {
  const { crypto, clock, database } = parts
  const dummy = makeDummyParty(crypto, parts.keyring)
  const runOnce = createRunOnce()

  return observed(parts.metrics, async (request, from, claimant) => {
    const bucketKey = await getOpenBucketKey(parts, request)
    const th1 = initiateHash(crypto, request, bucketKey.certificate)
    const sessionId = sessionIdOf(request.bucket, th1)
    // With the signature: who takes part of a message and signs it wrongly does not keep the right one out.
    return runOnce(
      `${sessionId} ${toBase64url(request.signature)}`,
      () => runQueued(parts.queue, claimant, () => open(request, from, { bucketKey, th1, sessionId })),
      () => parts.noteRefusal.exchange(request.deviceId, 'replayed', undefined),
    )
  })

  async function open(
    request: ExchangeRequest,
    from: Parameters<OpenExchange>[1],
    { bucketKey, th1, sessionId }: { bucketKey: BucketKey; th1: Uint8Array; sessionId: string },
  ) {
    const party = await findExchangeParty(database, request.deviceId, sessionId, clock.now())
    refuseReplay(parts.noteRefusal, party, sessionId)

    const clientKey = await importClientKey(parts, request)
    const signatureBytes = request.signature.length
    const claimed = party !== undefined && takesSignature(party, signatureBytes) ? party : dummy(signatureBytes)
    const identityKey = await importIdentityKey(parts, claimed)
    const isSigned = identityKey?.verify(th1, signatureContexts.exchange, request.signature) === true
    if (!isSigned || clientKey === undefined || party?.principal.status !== 'ACTIVE') {
      noteRefused(parts.noteRefusal, request.deviceId, party, isSigned)
      throw new ServiceError('exchange_refused', 'The device, its key or its signature is not accepted.')
    }
    const isSlowed = clock.now() < (party.principal.slowedUntil ?? 0)
    const principal = { id: request.deviceId, organizationId: party.organizationId, isSlowed }
    const opened = await runWithinLimits(parts.limits, principal, () =>
      answer(parts, { request, ...from, th1, sessionId, party, clientKey, bucketKey }),
    )
    return { ...opened, pass: parts.passes.issue(principal) }
  }
}

function observed(metrics: Metrics, open: OpenExchange): OpenExchange {
  return (...asked) => observeExchange(metrics, 'opened', () => open(...asked))
}

/** Throws `bucket_out_of_window` with the server's time as a hint, and `unavailable` when the key of an open bucket is lost. */
async function getOpenBucketKey(parts: OpenExchangeParts, request: ExchangeRequest): Promise<BucketKey> {
  const now = parts.clock.now()
  if (!isBucketAccepted(request.bucket, now)) {
    parts.noteRefusal.window(request.deviceId, request.bucket - bucketAt(now))
    throw new ServiceError(
      'bucket_out_of_window',
      `Bucket ${request.bucket} is not open; it is ${bucketAt(now)} now.`,
      { now },
    )
  }
  const bucketKey = await parts.temporalKeys.findBucketKey(request.suite, request.bucket)
  if (bucketKey !== undefined) return bucketKey
  throw new ServiceError('unavailable', 'The key of this bucket is being made anew; fetch the certificates again.')
}

function refuseReplay(note: NoteRefusal, party: ExchangeParty | undefined, sessionId: string): void {
  if (party?.sessions.some((session) => session.id === sessionId) !== true) return
  note.exchange(party.principal.id, 'replayed', party.organizationId)
  throw replayed()
}

/** For an unknown device as for a known one. Who signs rightly and may not exchange is told apart; all else anybody can send. */
function noteRefused(note: NoteRefusal, deviceId: string, party: ExchangeParty | undefined, isSigned: boolean): void {
  const isInactive = isSigned && party !== undefined && party.principal.status !== 'ACTIVE'
  note.exchange(deviceId, isInactive ? 'inactive' : 'signature', party?.organizationId)
}

/** Undefined for a key that fails the modulus check or is a bucket key: refused like a bad signature. */
async function importClientKey(
  parts: OpenExchangeParts,
  request: ExchangeRequest,
): Promise<EncapsulationKey | undefined> {
  const current = bucketAt(parts.clock.now())
  // The one before lives in its grace only; looking for it afterwards would ask the database each time.
  const first = isBucketAccepted(current - 1, parts.clock.now()) ? current - 1 : current
  for (let bucket = first; bucket <= current + 1; bucket++) {
    const known = await parts.temporalKeys.findBucketKey(request.suite, bucket)
    if (known !== undefined && parts.crypto.equal(known.key.encapsulationKey, request.clientKey)) return undefined
  }
  try {
    return parts.crypto.importEncapsulationKey(request.suite, request.clientKey)
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

function takesSignature({ principal }: Pick<ExchangeParty, 'principal'>, signatureBytes: number): boolean {
  return signatureAlgorithms[principal.identityKey.alg].signatureBytes === signatureBytes
}

/** Undefined for a key whose MAC says that it was swapped in the database. */
async function importIdentityKey(
  parts: OpenExchangeParts,
  party: Pick<ExchangeParty, 'organizationId' | 'principal'>,
): Promise<VerificationKey | undefined> {
  const { organizationId, principal } = party
  const { identityKey } = principal
  const facts = { ...identityKey, organizationId, principalId: principal.id }
  const isGenuine = await isIdentityKeyGenuine(parts.keyring, facts)
  const key = parts.crypto.importVerificationKey(identityKey.alg, identityKey.publicKey)
  return isGenuine || principal.id === NIL_UUID ? key : undefined
}

async function answer(
  parts: OpenExchangeParts,
  accepted: {
    request: ExchangeRequest
    requestId: string
    network: string | undefined
    th1: Uint8Array
    sessionId: string
    party: ExchangeParty
    clientKey: EncapsulationKey
    bucketKey: BucketKey
  },
): Promise<ExchangeAnswer> {
  const { request, sessionId, party, network } = accepted
  const { suite, bucket } = request
  const { organizationId } = party
  const device = { organizationId, principalId: party.principal.id }
  const tag = network === undefined ? {} : { network: tagNetwork(parts.keyring, device, network) }
  const createdAt = parts.clock.now()
  const expiresAt = createdAt + SESSION_MS
  const lastEpoch = bucketAt(expiresAt)
  const epochKeys = await parts.temporalKeys.getEpochKeys(bucket, lastEpoch)
  const responded = respondToExchange(parts.crypto, { ...accepted, bucketKey: accepted.bucketKey.key, expiresAt })
  const session = {
    id: sessionId,
    suite,
    bucket,
    lastEpoch,
    createdAt,
    expiresAt,
    chains: sealChains(parts.crypto, { ...device, id: sessionId }, bucket, responded.chain, epochKeys),
    confirmationHash: parts.crypto.hash256(responded.expectedConfirmation),
  }
  let read: ExchangeParty | undefined = party
  await retryOnConflict(async () => {
    read ??= await findExchangeParty(parts.database, request.deviceId, sessionId, createdAt)
    refuseReplay(parts.noteRefusal, read, sessionId)
    const isSameKey = read?.principal.keyGeneration === party.principal.keyGeneration
    if (read?.principal.status !== 'ACTIVE' || !isSameKey) {
      noteRefused(parts.noteRefusal, request.deviceId, read, isSameKey)
      throw new ServiceError('exchange_refused', 'The device, its key or its signature is not accepted.')
    }
    const { principal } = read
    const { keptIds, timedOutIds } = makeRoom(read, createdAt)
    const actor = { organizationId, principal, requestId: accepted.requestId }
    const events = [
      ...timedOutIds.map((id) => sessionEvent(parts.writeEvent, actor, timedOut, id, createdAt)),
      sessionEvent(
        parts.writeEvent,
        actor,
        { type: 'session.opened', data: { suite, bucket, expiresAt, ...tag } },
        sessionId,
        createdAt,
      ),
    ]
    read = undefined
    try {
      await insertPendingSession(parts.database, organizationId, {
        read: principal,
        keptIds,
        timedOutIds,
        session,
        events,
      })
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.code !== 'duplicate') throw error
      parts.noteRefusal.exchange(principal.id, 'replayed', organizationId)
      throw replayed(error)
    }
  })
  return responded.answer
}

/**
 * Which pending sessions stay beside one more: those whose time is over end, and the oldest of the rest when there is no room.
 * One that the look-up did not find was ended meanwhile, or long ago: it is in neither list.
 */
function makeRoom(party: ExchangeParty, now: number): { keptIds: string[]; timedOutIds: string[] } {
  const pending = party.principal.pendingSessionIds.flatMap((id) => {
    const session = party.sessions.find((candidate) => candidate.id === id)
    return session === undefined ? [] : [session]
  })
  const over = pending.filter((session) => sessionStateAt(session, now) !== 'PENDING')
  const alive = pending.filter((session) => !over.includes(session))
  const evicted = alive.slice(0, Math.max(0, alive.length - MAX_PENDING_SESSIONS + 1))
  return {
    keptIds: alive.slice(evicted.length).map(({ id }) => id),
    timedOutIds: [...over, ...evicted].map(({ id }) => id),
  }
}
