import type { PrincipalKind, PrincipalStatus } from '../../protocol/enrollment.ts'
import type { SessionState } from '../../protocol/exchange/session-states.ts'
import type { Database } from '../open.ts'
import { insertEventsStatement, type OutboxRow, sendWithEvents } from './audit-outbox.ts'

/** What a token's use or renewal needs of a session and its principal. */
export interface SessionHolder {
  organizationId: string
  principalId: string
  kind: PrincipalKind
  status: PrincipalStatus
  slowedUntil: number | undefined
  state: SessionState
  bucket: number
  lastEpoch: number
  createdAt: number
  expiresAt: number
  supersededAt: number | undefined
}

/** With the sealed chain of `epoch`, where one is asked for and there is one: `length` bytes at `(epoch − bucket) × length`. */
export async function findSessionHolder(
  database: Database,
  principalId: string,
  sessionId: string,
  chain: { epoch: number; length: number } | undefined,
): Promise<(SessionHolder & { sealedChain: Uint8Array | undefined }) | undefined> {
  const [organizationId, found] = await database.sendTransaction({ organizationOf: principalId }, [
    {
      name: 'select_session_holder',
      text: `select p.kind, p.status, p.slowed_until, s.state, s.bucket, s.last_epoch, s.created_at, s.expires_at, s.superseded_at,
          case when $3::bigint between s.bucket and s.last_epoch
            then substring(s.chains from (1 + $4::int * ($3::bigint - s.bucket))::int for $4::int) end as sealed_chain
        from session s join principal p on p.organization_id = s.organization_id and p.id = s.principal_id
        where s.organization_id = current_organization() and s.id = $2 and s.principal_id = $1`,
      values: [principalId, sessionId, chain?.epoch ?? null, chain?.length ?? null],
    },
  ])
  const row = found?.rows[0] as HolderRow | undefined
  if (row === undefined) return undefined
  return {
    organizationId,
    principalId,
    kind: row.kind,
    status: row.status,
    slowedUntil: row.slowed_until ?? undefined,
    state: row.state,
    bucket: row.bucket,
    lastEpoch: row.last_epoch,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    supersededAt: row.superseded_at ?? undefined,
    sealedChain: row.sealed_chain ?? undefined,
  }
}

/** Nonces are kept for the newest epoch that renewed: an older epoch's proof is refused with its nonces forgotten. */
export const MAX_RENEWALS_PER_EPOCH = 32

/**
 * Spends a nonce of `epoch`. `condition_failed` when it was spent before, when a newer epoch renewed, when the epoch's
 * renewals are used up, or when the session is no longer open.
 */
export async function spendRenewalNonce(
  database: Database,
  organizationId: string,
  renewal: { sessionId: string; epoch: number; nonceHash: Uint8Array; events: readonly OutboxRow[] },
): Promise<void> {
  await sendWithEvents(database, { organizationId }, [
    {
      name: 'spend_renewal_nonce',
      text: `with changed as (
          update session set token_epoch = $2,
            token_nonces = case when token_epoch = $2 then token_nonces || $3::bytea else array[$3::bytea] end
          where organization_id = current_organization() and id = $1 and state in ('ACTIVE', 'SUPERSEDED')
            and (token_epoch is null or token_epoch < $2
              or (token_epoch = $2 and $3::bytea <> all (token_nonces) and cardinality(token_nonces) < $4))
          returning 1)
        select expect_one(count(*)) from changed`,
      values: [renewal.sessionId, renewal.epoch, renewal.nonceHash, MAX_RENEWALS_PER_EPOCH],
    },
    insertEventsStatement(renewal.events),
  ])
}

/** How many renewals the newest epoch of a session has had. */
export async function countRenewals(
  database: Database,
  organizationId: string,
  sessionId: string,
): Promise<{ epoch: number; count: number } | undefined> {
  const [, found] = await database.sendTransaction({ organizationId }, [
    {
      name: 'count_renewals',
      text: `select token_epoch as epoch, cardinality(token_nonces) as count from session
        where organization_id = current_organization() and id = $1 and token_epoch is not null`,
      values: [sessionId],
    },
  ])
  return found?.rows[0] as { epoch: number; count: number } | undefined
}

interface HolderRow {
  kind: PrincipalKind
  status: PrincipalStatus
  slowed_until: number | null
  state: SessionState
  bucket: number
  last_epoch: number
  created_at: number
  expires_at: number
  superseded_at: number | null
  sealed_chain: Uint8Array | null
}
