import type { PrincipalKind, PrincipalStatus } from '../../protocol/enrollment.ts'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { SESSION_MS, type SessionState } from '../../protocol/exchange/session-states.ts'
import type { SignatureAlgorithm, Suite } from '../../protocol/suites.ts'
import type { Database, Statement } from '../open.ts'
import { insertEventsStatement, type OutboxRow } from './audit-outbox.ts'

/**
 * The hot path: what an exchange, a confirmation and a token renewal read and write, each in one pipelined round trip. A
 * write says what it read; when that has changed in between, `condition_failed` is thrown and nothing is stored.
 */

export interface ExchangeParty {
  organizationId: string
  principal: {
    id: string
    kind: PrincipalKind
    status: PrincipalStatus
    activeSessionId: string | undefined
    /** Oldest first. */
    pendingSessionIds: string[]
    identityKey: {
      kid: string
      alg: SignatureAlgorithm
      publicKey: Uint8Array
      mac: Uint8Array
      macKeyVersion: number
    }
  }
  /** The principal's sessions that are PENDING or ACTIVE and not long over, and the one that was asked for. */
  sessions: ExchangeSession[]
}

export interface ExchangeSession {
  id: string
  principalId: string
  state: SessionState
  bucket: number
  lastEpoch: number
  createdAt: number
  expiresAt: number
  confirmedAt: number | undefined
  supersededAt: number | undefined
  confirmationHash: Uint8Array | undefined
}

/** Undefined for an unknown device. `sessionId` may be one that does not exist, or another device's: look at `principalId`. */
export async function findExchangeParty(
  database: Database,
  deviceId: string,
  sessionId: string,
  now: number,
): Promise<ExchangeParty | undefined> {
  const [from, to] = sessionIdRange(sessionId, now)
  const [organizationId, principals, sessions] = await database.sendTransaction({ organizationOf: deviceId }, [
    {
      name: 'select_exchange_principal',
      text: `select p.kind, p.status, p.active_session_id, p.pending_session_ids,
          k.kid, k.alg, k.public_key, k.mac, k.mac_key_version
        from principal p join identity_key k
          on k.organization_id = p.organization_id and k.principal_id = p.id and k.status <> 'REPLACED'
        where p.organization_id = current_organization() and p.id = $1`,
      values: [deviceId],
    },
    {
      name: 'select_exchange_sessions',
      text: `select s.id, s.principal_id, s.state, s.bucket, s.last_epoch, s.created_at, s.expires_at, s.confirmed_at,
          s.superseded_at, s.confirmation_hash
        from session s
        where s.organization_id = current_organization() and s.id between $3 and $4 and s.id = any (
          (select array[$2::uuid] || p.active_session_id || p.pending_session_ids from principal p
            where p.organization_id = current_organization() and p.id = $1)::uuid[])`,
      values: [deviceId, sessionId, from, to],
    },
  ])
  const row = principals?.rows[0] as PrincipalRow | undefined
  if (row === undefined) return undefined
  return {
    organizationId,
    principal: {
      id: deviceId,
      kind: row.kind,
      status: row.status,
      activeSessionId: row.active_session_id ?? undefined,
      pendingSessionIds: row.pending_session_ids,
      identityKey: {
        kid: row.kid,
        alg: row.alg,
        publicKey: row.public_key,
        mac: row.mac,
        macKeyVersion: row.mac_key_version,
      },
    },
    sessions: ((sessions?.rows ?? []) as SessionRow[]).map(toExchangeSession),
  }
}

/**
 * Session ids begin with their time: bounds keep PostgreSQL from looking into every partition. No session that still matters
 * is older than two sessions' lives.
 */
function sessionIdRange(sessionId: string, now: number): [string, string] {
  const oldest = `${hexTime(now - 2 * SESSION_MS)}-0000-0000-000000000000`
  const newest = `${hexTime(now + 2 * BUCKET_MS)}-ffff-ffff-ffffffffffff`
  return [sessionId < oldest ? sessionId : oldest, sessionId > newest ? sessionId : newest]
}

/** The first 48 bits of a session id, as its text has them. */
function hexTime(ms: number): string {
  const hex = ms.toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}`
}

/** What the transaction found when it read the principal; it stores nothing when that is no longer so. */
export type PrincipalSessions = Pick<ExchangeParty['principal'], 'id' | 'activeSessionId' | 'pendingSessionIds'>

/** Session PENDING, older ones out of the way, and the events. `duplicate` when the message came before. */
export async function insertPendingSession(
  database: Database,
  organizationId: string,
  change: {
    read: PrincipalSessions
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
  await database.sendTransaction({ organizationId }, [
    updatePrincipal(read, { activeSessionId: read.activeSessionId, pendingSessionIds }, session.createdAt),
    ...timedOutIds.map((id) => endPending(id, 'TIMED_OUT', session.createdAt)),
    {
      name: 'insert_session',
      text: `insert into session (organization_id, id, principal_id, state, suite, bucket, last_epoch, created_at,
          expires_at, chains, confirmation_hash)
        values (current_organization(), $1, $2, 'PENDING', $3, $4, $5, $6, $7, $8, $9)`,
      values: [
        session.id,
        read.id,
        session.suite,
        session.bucket,
        session.lastEpoch,
        new Date(session.createdAt),
        new Date(session.expiresAt),
        session.chains,
        session.confirmationHash,
      ],
    },
    insertEventsStatement(change.events),
  ])
}

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
    now: number
    events: readonly OutboxRow[]
  },
): Promise<void> {
  const { read, sessionId, supersededId, now } = change
  const at = new Date(now)
  await database.sendTransaction({ organizationId }, [
    updatePrincipal(read, { activeSessionId: sessionId, pendingSessionIds: change.pendingSessionIds }, now),
    {
      name: 'activate_session',
      text: `with changed as (update session set state = 'ACTIVE', confirmed_at = $2
          where organization_id = current_organization() and id = $1 and state = 'PENDING' returning 1)
        select expect_one(count(*)) from changed`,
      values: [sessionId, at],
    },
    ...change.timedOutIds.map((id) => endPending(id, 'TIMED_OUT', now)),
    ...(supersededId === undefined ? [] : [supersedeSession(supersededId, at)]),
    insertEventsStatement(change.events),
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
  await database.sendTransaction({ organizationId }, [
    updatePrincipal(read, { activeSessionId: read.activeSessionId, pendingSessionIds }, now),
    endPending(sessionId, change.state, now),
    insertEventsStatement(change.events),
  ])
}

function updatePrincipal(
  read: PrincipalSessions,
  next: { activeSessionId: string | undefined; pendingSessionIds: readonly string[] },
  now: number,
): Statement {
  return {
    name: 'update_exchange_principal',
    text: `with changed as (
        update principal set active_session_id = $2, pending_session_ids = $3, last_seen_at = $4
        where organization_id = current_organization() and id = $1 and status = 'ACTIVE'
          and active_session_id is not distinct from $5 and pending_session_ids = $6 returning 1)
      select expect_one(count(*)) from changed`,
    values: [
      read.id,
      next.activeSessionId ?? null,
      next.pendingSessionIds,
      new Date(now),
      read.activeSessionId ?? null,
      read.pendingSessionIds,
    ],
  }
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

function supersedeSession(id: string, at: Date): Statement {
  return {
    name: 'supersede_session',
    text: `with changed as (update session set state = 'SUPERSEDED', superseded_at = $2
        where organization_id = current_organization() and id = $1 and state = 'ACTIVE' returning 1)
      select expect_one(count(*)) from changed`,
    values: [id, at],
  }
}

interface PrincipalRow {
  kind: PrincipalKind
  status: PrincipalStatus
  active_session_id: string | null
  pending_session_ids: string[]
  kid: string
  alg: SignatureAlgorithm
  public_key: Uint8Array
  mac: Uint8Array
  mac_key_version: number
}

interface SessionRow {
  id: string
  principal_id: string
  state: SessionState
  bucket: number
  last_epoch: number
  created_at: number
  expires_at: number
  confirmed_at: number | null
  superseded_at: number | null
  confirmation_hash: Uint8Array | null
}

function toExchangeSession(row: SessionRow): ExchangeSession {
  return {
    id: row.id,
    principalId: row.principal_id,
    state: row.state,
    bucket: row.bucket,
    lastEpoch: row.last_epoch,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    confirmedAt: row.confirmed_at ?? undefined,
    supersededAt: row.superseded_at ?? undefined,
    confirmationHash: row.confirmation_hash ?? undefined,
  }
}
