import type { PrincipalKind, PrincipalStatus } from '../../protocol/enrollment.ts'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { SESSION_MS, type SessionState } from '../../protocol/exchange/session-states.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { Database } from '../open.ts'

/** The hot path: what an exchange and a confirmation read, in one pipelined round trip. */

export interface ExchangeParty {
  organizationId: string
  principal: {
    id: string
    kind: PrincipalKind
    status: PrincipalStatus
    activeSessionId: string | undefined
    /** Oldest first. */
    pendingSessionIds: string[]
    /** Of the identity key: counts up with each one that takes its place. */
    keyGeneration: number
    policyId: string
    slowedUntil: number | undefined
    identityKey: {
      kid: string
      alg: SignatureAlgorithm
      publicKey: Uint8Array
      mac: Uint8Array
      macKeyVersion: number
    }
  }
  /** Of this principal: those that are PENDING or ACTIVE and not long over, and the one that was asked for. */
  sessions: ExchangeSession[]
}

export interface ExchangeSession {
  id: string
  state: SessionState
  bucket: number
  lastEpoch: number
  createdAt: number
  expiresAt: number
  confirmedAt: number | undefined
  supersededAt: number | undefined
  confirmationHash: Uint8Array | undefined
}

/** Undefined for an unknown device. A `sessionId` that does not exist, or is another device's, is not among the sessions. */
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
      text: `select p.kind, p.status, p.active_session_id, p.pending_session_ids, p.key_generation,
          p.policy_id, p.slowed_until, k.kid, k.alg, k.public_key, k.mac, k.mac_key_version
        from principal p join identity_key k
          on k.organization_id = p.organization_id and k.principal_id = p.id and k.status <> 'REPLACED'
        where p.organization_id = current_organization() and p.id = $1`,
      values: [deviceId],
    },
    {
      name: 'select_exchange_sessions',
      text: `select s.id, s.state, s.bucket, s.last_epoch, s.created_at, s.expires_at, s.confirmed_at,
          s.superseded_at, s.confirmation_hash
        from session s
        where s.organization_id = current_organization() and s.principal_id = $1 and s.id between $3 and $4 and s.id = any (
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
      keyGeneration: row.key_generation,
      policyId: row.policy_id,
      slowedUntil: row.slowed_until ?? undefined,
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

interface PrincipalRow {
  kind: PrincipalKind
  status: PrincipalStatus
  active_session_id: string | null
  pending_session_ids: string[]
  key_generation: number
  policy_id: string
  slowed_until: number | null
  kid: string
  alg: SignatureAlgorithm
  public_key: Uint8Array
  mac: Uint8Array
  mac_key_version: number
}

interface SessionRow {
  id: string
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
