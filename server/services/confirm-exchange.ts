import type { Database } from '../../database/open.ts'
import { activateSession, endPendingSession } from '../../database/repositories/exchange-changes.ts'
import { type ExchangeParty, type ExchangeSession, findExchangeParty } from '../../database/repositories/exchanges.ts'
import { nextAttestationAt } from '../../protocol/attestation/intervals.ts'
import { POLICY_NONE } from '../../protocol/attestation/policy-id.ts'
import type { ConfirmAnswer, ConfirmRequest } from '../../protocol/exchange/messages.ts'
import { CONFIRMATION_REPEAT_MS, sessionStateAt } from '../../protocol/exchange/session-states.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { Claimant, LaneQueue } from '../../runtime/lane-queue.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { ServiceError } from '../errors.ts'
import { ACCESS_TOKEN_MS, type AccessTokens } from './access-tokens.ts'
import { runQueued } from './admit-exchange.ts'
import { observeExchange } from './observe-exchange.ts'
import { getPolicy } from './policies.ts'
import { retryOnConflict } from './retry-on-conflict.ts'
import { failed, sessionEvent, timedOut } from './session-events.ts'

export interface ConfirmExchangeParts {
  database: Database
  keyring: Keyring
  accessTokens: AccessTokens
  crypto: Primitives
  clock: Clock
  queue: LaneQueue
  writeEvent: WriteEvent
  metrics: Metrics
  profile: ProfileName
}

export type ConfirmExchange = (
  sessionId: string,
  request: ConfirmRequest,
  requestId: string,
  claimant: Claimant,
) => Promise<ConfirmAnswer>

/** PENDING → ACTIVE on the right confirmation, → FAILED on the first wrong one (docs/protocol.md §4). */
export function createConfirmExchange(parts: ConfirmExchangeParts): ConfirmExchange {
  return (sessionId, request, requestId, claimant) =>
    observeExchange(parts.metrics, 'established', () =>
      runQueued(parts.queue, claimant, () => confirm(sessionId, request, requestId)),
    )

  function confirm(sessionId: string, request: ConfirmRequest, requestId: string): Promise<ConfirmAnswer> {
    return retryOnConflict(async () => {
      const now = parts.clock.now()
      const party = await findExchangeParty(parts.database, request.deviceId, sessionId, now)
      const session = party?.sessions.find(({ id }) => id === sessionId)
      if (party === undefined || session === undefined) throw new ServiceError('not_found', 'There is no such session.')
      const isRight = isExpected(parts, session, request)
      const state = sessionStateAt(session, now)
      // A newer session may have superseded it since: whose answer was lost still gets it.
      const isConfirmed = state === 'ACTIVE' || state === 'SUPERSEDED'
      if (isConfirmed && isRight && now < (session.confirmedAt ?? 0) + CONFIRMATION_REPEAT_MS) {
        return toAnswer(parts, party, session, session.confirmedAt as number)
      }
      if (session.state !== 'PENDING' || party.principal.status !== 'ACTIVE')
        throw new ServiceError('session_state', `The session is ${state}.`)
      if (state === 'PENDING' && isRight) {
        await activate(parts, party, session, now, requestId)
        return toAnswer(parts, party, session, now)
      }
      await end(parts, party, session, state === 'PENDING' ? 'FAILED' : 'TIMED_OUT', now, requestId)
      throw state === 'PENDING'
        ? new ServiceError(
            'confirmation_refused',
            'The confirmation is not that of this exchange; the session has ended.',
          )
        : new ServiceError('session_state', 'The session is TIMED_OUT.')
    })
  }
}

function isExpected(parts: ConfirmExchangeParts, session: ExchangeSession, request: ConfirmRequest): boolean {
  const { confirmationHash } = session
  return (
    confirmationHash !== undefined && parts.crypto.equal(parts.crypto.hash256(request.confirmation), confirmationHash)
  )
}

async function activate(
  parts: ConfirmExchangeParts,
  party: ExchangeParty,
  session: ExchangeSession,
  now: number,
  requestId: string,
): Promise<void> {
  const { organizationId, principal } = party
  const { pendingSessionIds } = principal
  const older = pendingSessionIds.slice(0, pendingSessionIds.indexOf(session.id))
  const timedOutIds = older.filter((id) => party.sessions.some((known) => known.id === id && known.state === 'PENDING'))
  // One that has expired is not superseded any more.
  const active = party.sessions.find(
    (known) => known.id === principal.activeSessionId && sessionStateAt(known, now) === 'ACTIVE',
  )
  const actor = { organizationId, principal, requestId }
  const { writeEvent } = parts
  await activateSession(parts.database, organizationId, {
    read: principal,
    sessionId: session.id,
    supersededId: active?.id,
    timedOutIds,
    pendingSessionIds: pendingSessionIds.slice(pendingSessionIds.indexOf(session.id) + 1),
    nextAttestationAt: await findNextAttestation(parts, party, now),
    now,
    events: [
      ...timedOutIds.map((id) => sessionEvent(writeEvent, actor, timedOut, id, now)),
      ...(active === undefined
        ? []
        : [sessionEvent(writeEvent, actor, { type: 'session.superseded', data: { by: session.id } }, active.id, now)]),
      sessionEvent(writeEvent, actor, { type: 'session.established', data: {} }, session.id, now),
    ],
  })
}

/** Most fleets that only prove their keys name no policy of their own: for them nothing is looked up. */
async function findNextAttestation(
  parts: ConfirmExchangeParts,
  { organizationId, principal }: ExchangeParty,
  now: number,
): Promise<number | undefined> {
  if (principal.policyId === POLICY_NONE) return undefined
  const { document } = await parts.database.withOrganization(organizationId, (tx) =>
    getPolicy(parts, tx, principal.policyId),
  )
  return nextAttestationAt(document, now)
}

async function end(
  parts: ConfirmExchangeParts,
  party: ExchangeParty,
  session: ExchangeSession,
  state: 'FAILED' | 'TIMED_OUT',
  now: number,
  requestId: string,
): Promise<void> {
  const { organizationId, principal } = party
  const change = state === 'FAILED' ? failed : timedOut
  const event = sessionEvent(parts.writeEvent, { organizationId, principal, requestId }, change, session.id, now)
  await endPendingSession(parts.database, organizationId, {
    read: principal,
    sessionId: session.id,
    state,
    now,
    events: [event],
  })
}

/** The same answer for the same session, however often it is asked for: nothing of it is stored. */
async function toAnswer(
  parts: ConfirmExchangeParts,
  party: ExchangeParty,
  session: ExchangeSession,
  confirmedAt: number,
): Promise<ConfirmAnswer> {
  const { organizationId, principal } = party
  const accessTokenExpiresAt = Math.min(confirmedAt + ACCESS_TOKEN_MS, session.expiresAt)
  const caller = { type: principal.kind, id: principal.id, organizationId, sessionId: session.id }
  const accessToken = await parts.accessTokens.issue(caller, accessTokenExpiresAt)
  return {
    sessionId: session.id,
    status: 'ACTIVE',
    expiresAt: session.expiresAt,
    accessToken,
    accessTokenExpiresAt,
  }
}
