import type { Selectable } from 'kysely'
import type { SessionState, SessionTimes } from '../../protocol/exchange/session-states.ts'
import type { Suite } from '../../protocol/suites.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

/** What may be told of a session: never its key material. */
export interface Session {
  id: string
  principalId: string
  /** As stored; `sessionStateAt` says what it is by now. */
  state: SessionState
  suite: Suite
  bucket: number
  lastEpoch: number
  createdAt: number
  expiresAt: number
  confirmedAt: number | undefined
  supersededAt: number | undefined
}

const columns = [
  'id',
  'principal_id',
  'state',
  'suite',
  'bucket',
  'last_epoch',
  'created_at',
  'expires_at',
  'confirmed_at',
  'superseded_at',
] as const

export async function findSession(tx: Tx, id: string): Promise<Session | undefined> {
  const row = await tx.selectFrom('session').select(columns).where('id', '=', id).executeTakeFirst()
  return row && toSession(row)
}

/** Newest bucket first, below `beforeId` where it is given. */
export async function listSessions(
  tx: Tx,
  page: { limit: number; beforeId: string | undefined; principalId: string | undefined },
): Promise<Session[]> {
  const rows = await tx
    .selectFrom('session')
    .select(columns)
    .$if(page.beforeId !== undefined, (query) => query.where('id', '<', page.beforeId as string))
    .$if(page.principalId !== undefined, (query) => query.where('principal_id', '=', page.principalId as string))
    .orderBy('id', 'desc')
    .limit(page.limit)
    .execute()
  return rows.map(toSession)
}

/** Those that still hold key material. The principal's row is locked by the caller. */
export async function listOpenSessions(tx: Tx, principalId: string): Promise<Session[]> {
  const rows = await tx
    .selectFrom('session')
    .select(columns)
    .where('principal_id', '=', principalId)
    .where('chains', 'is not', null)
    .orderBy('id')
    .execute()
  return rows.map(toSession)
}

/** The same for whoever may not look at key material. */
export async function listUnendedSessions(tx: Tx, principalId: string): Promise<(SessionTimes & UnendedSession)[]> {
  const rows = await tx
    .selectFrom('session')
    .select(['id', 'state', 'created_at', 'expires_at', 'superseded_at'])
    .where('principal_id', '=', principalId)
    .where('state', 'in', ['PENDING', 'ACTIVE', 'SUPERSEDED'])
    .orderBy('id')
    .execute()
  return rows.map(({ id, state, ...row }) => ({
    id,
    state,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    supersededAt: row.superseded_at ?? undefined,
  }))
}
type UnendedSession = Pick<Session, 'id' | 'state'>

/** False when it was over before. The principal's row is locked by the caller. */
export async function revokeSession(tx: Tx, id: string, endedAt: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('session')
    .set({ state: 'REVOKED', chains: null, confirmation_hash: null, ended_at: new Date(endedAt) })
    .where('id', '=', id)
    .where('state', 'in', ['PENDING', 'ACTIVE', 'SUPERSEDED'])
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

function toSession(row: Pick<Selectable<Tables['session']>, (typeof columns)[number]>): Session {
  return {
    id: row.id,
    principalId: row.principal_id,
    state: row.state,
    suite: row.suite,
    bucket: row.bucket,
    lastEpoch: row.last_epoch,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    confirmedAt: row.confirmed_at ?? undefined,
    supersededAt: row.superseded_at ?? undefined,
  }
}
