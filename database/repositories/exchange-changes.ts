import type { Suite } from '../../protocol/suites.ts'
import type { Database, Statement } from '../open.ts'
import { insertEventsText, insertEventsValues, type OutboxRow, sendWithEvents } from './audit-outbox.ts'
import type { ExchangeParty } from './exchanges.ts'

/**
 * The hot path: what an exchange and a confirmation write, each in one pipelined round trip. A write says what it read; when
 * that has changed in between, `condition_failed` is thrown and nothing is stored.
 */

/** What the transaction found when it read the principal; it stores nothing when that is no longer so. */
export type PrincipalSessions = Pick<ExchangeParty['principal'], 'id' | 'activeSessionId' | 'pendingSessionIds'>
/** The same for a session that begins: its message was signed by the key of this generation. */
export type SigningPrincipal = PrincipalSessions & Pick<ExchangeParty['principal'], 'keyGeneration'>

/**
 * The part that every change begins with: who finds the principal's row as it was read holds it, and nobody else changes
 * its sessions until the commit. All parts are one statement: fewer messages for both ends.
 */
const changePrincipal = (more = '') => `update principal
  set active_session_id = $2, pending_session_ids = $3, last_seen_at = $4${more}
  where organization_id = current_organization() and id = $1 and status = 'ACTIVE'
    and active_session_id is not distinct from $5 and pending_session_ids = $6`

function changePrincipalValues(
  read: PrincipalSessions,
  next: { activeSessionId: string | undefined; pendingSessionIds: readonly string[] },
  now: number,
): unknown[] {
  const { id, activeSessionId, pendingSessionIds } = read
  return [
    id,
    next.activeSessionId ?? null,
    next.pendingSessionIds,
    new Date(now),
    activeSessionId ?? null,
    pendingSessionIds,
  ]
}

const addEvents = insertEventsText(7)

/** Session PENDING, older ones out of the way, and the events. `duplicate` when the message came before. */
export async function insertPendingSession(
  database: Database,
  organizationId: string,
  change: {
    read: SigningPrincipal
    /** Of those that were pending, what stays pending; at most one. */
    keptIds: readonly string[]
    timedOutIds: readonly string[]
    session: {
      id: string
      suite: Suite
      bucket: number
      lastEpoch: number
      createdAt: number
      expiresAt: number
      chains: Uint8Array
      confirmationHash: Uint8Array
    }
    events: readonly OutboxRow[]
  },
): Promise<void> {
  const { read, session, timedOutIds } = change
  const pendingSessionIds = [...change.keptIds, session.id]
  await sendWithEvents(database, { organizationId }, [
    {
      name: 'open_exchange',
      text: `with principal_changed as (${changePrincipal()} and key_generation = $17 returning 1),
        session_added as (
          insert into session (organization_id, id, principal_id, state, suite, bucket, last_epoch, created_at, expires_at,
            chains, confirmation_hash)
          values (current_organization(), $10, $1, 'PENDING', $11, $12, $13, $4, $14, $15, $16)),
        events_added as (${addEvents})
        select expect_one(count(*)) from principal_changed`,
      values: [
        ...changePrincipalValues(read, { activeSessionId: read.activeSessionId, pendingSessionIds }, session.createdAt),
        ...insertEventsValues(change.events),
        session.id,
        session.suite,
        session.bucket,
        session.lastEpoch,
        new Date(session.expiresAt),
        session.chains,
        session.confirmationHash,
        read.keyGeneration,
      ],
    },
    ...timedOutIds.map((id) => endPending(id, 'TIMED_OUT', session.createdAt)),
  ])
}

/**
 * A device that exchanges again and again puts its deadline off no further, also where it ends its sessions itself. One that follows
 * a session which time has ended begins anew: of that one nothing is due.
 */
const keptDeadline = `case when $11::timestamptz is null or ($5::uuid is not null and $10::uuid is null) then $11
  else least(next_attestation_at, $11::timestamptz) end`

/** PENDING → ACTIVE; the active one before it is SUPERSEDED, older pending ones are TIMED_OUT. */
export async function activateSession(
  database: Database,
  organizationId: string,
  change: {
    read: PrincipalSessions
    sessionId: string
    supersededId: string | undefined
    timedOutIds: readonly string[]
    pendingSessionIds: readonly string[]
    /** By when the device has to attest for it; undefined where its policy does not ask for that. */
    nextAttestationAt: number | undefined
    now: number
    events: readonly OutboxRow[]
  },
): Promise<void> {
  const { read, sessionId, supersededId, pendingSessionIds, now } = change
  await sendWithEvents(database, { organizationId }, [
    {
      name: 'confirm_exchange',
      text: `with principal_changed as (${changePrincipal(`, next_attestation_at = ${keptDeadline}`)} returning 1),
        sessions_changed as (
          update session set state = case id when $2 then 'ACTIVE' else 'SUPERSEDED' end::session_state,
            confirmed_at = case id when $2 then $4 else confirmed_at end,
            superseded_at = case id when $2 then null else $4 end
          where organization_id = current_organization() and principal_id = $1 and id in ($2, $10)
            and state = case id when $2 then 'PENDING' else 'ACTIVE' end::session_state
          returning 1),
        events_added as (${addEvents})
        select expect_one((select count(*) from principal_changed)),
          expect_one((select count(*) from sessions_changed) - num_nonnulls($10))`,
      values: [
        ...changePrincipalValues(read, { activeSessionId: sessionId, pendingSessionIds }, now),
        ...insertEventsValues(change.events),
        supersededId ?? null,
        change.nextAttestationAt === undefined ? null : new Date(change.nextAttestationAt),
      ],
    },
    ...change.timedOutIds.map((id) => endPending(id, 'TIMED_OUT', now)),
  ])
}

/** PENDING → FAILED or TIMED_OUT, and out of the principal's row. */
export async function endPendingSession(
  database: Database,
  organizationId: string,
  change: {
    read: PrincipalSessions
    sessionId: string
    state: 'FAILED' | 'TIMED_OUT'
    now: number
    events: readonly OutboxRow[]
  },
): Promise<void> {
  const { read, sessionId, now } = change
  const pendingSessionIds = read.pendingSessionIds.filter((id) => id !== sessionId)
  await sendWithEvents(database, { organizationId }, [
    {
      name: 'end_exchange',
      text: `with principal_changed as (${changePrincipal()} returning 1), events_added as (${addEvents})
        select expect_one(count(*)) from principal_changed`,
      values: [
        ...changePrincipalValues(read, { activeSessionId: read.activeSessionId, pendingSessionIds }, now),
        ...insertEventsValues(change.events),
      ],
    },
    endPending(sessionId, change.state, now),
  ])
}

function endPending(id: string, to: 'TIMED_OUT' | 'FAILED', now: number): Statement {
  return {
    name: 'end_session',
    text: `with changed as (update session
        set state = $2, chains = null, confirmation_hash = null, ended_at = $3
        where organization_id = current_organization() and id = $1 and state = 'PENDING' returning 1)
      select expect_one(count(*)) from changed`,
    values: [id, to, new Date(now)],
  }
}
