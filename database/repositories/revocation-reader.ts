import type { PrincipalStatus } from '../../protocol/enrollment.ts'
import type { SessionState } from '../../protocol/exchange/session-states.ts'
import type { Database } from '../open.ts'

/** Whose news somebody hears: of everybody in the organization, or of the members of federations. */
export type NewsScope = { of: 'organization' } | { of: 'made' | 'assigned'; id: string }

export interface News {
  /** Of the organization; without a gap. */
  sequence: number
  deviceId: string
  status: PrincipalStatus
  changedAt: number
}

export interface BarredDevice {
  deviceId: string
  status: PrincipalStatus
}

/** A session that somebody listens in, as it is stored. */
export interface ListeningSession {
  id: string
  state: SessionState
  createdAt: number
  expiresAt: number
  supersededAt: number | undefined
}

/** How far the news of an organization are, and what is left of the tokens and sessions of those who listen. One round trip. */
export async function lookAtNews(
  database: Database,
  organizationId: string,
  listening: { apiTokenIds: readonly string[]; sessionIds: readonly string[] },
  now: number,
): Promise<{ last: number; apiTokenIds: string[]; sessions: ListeningSession[] }> {
  const [, feed, tokens, sessions] = await database.sendTransaction({ organizationId }, [
    {
      name: 'look_at_news',
      text: 'select last_sequence from revocation_feed where organization_id = current_organization()',
      values: [],
    },
    {
      name: 'look_at_listening_tokens',
      text: `select id from api_token where organization_id = current_organization() and id = any ($1::uuid[])
        and revoked_at is null and (expires_at is null or expires_at > $2)`,
      values: [listening.apiTokenIds, new Date(now)],
    },
    {
      name: 'look_at_listening_sessions',
      text: `select s.id, s.state, s.created_at, s.expires_at, s.superseded_at
        from session s join principal p on p.organization_id = s.organization_id and p.id = s.principal_id
        where s.organization_id = current_organization() and s.id = any ($1::uuid[]) and p.status = 'ACTIVE'`,
      values: [listening.sessionIds],
    },
  ])
  return {
    last: ((feed?.rows[0]?.last_sequence as number | undefined) ?? 0) as number,
    apiTokenIds: (tokens?.rows ?? []).map(({ id }) => String(id)),
    sessions: ((sessions?.rows ?? []) as SessionRow[]).map((row) => ({
      id: row.id,
      state: row.state,
      createdAt: row.created_at,
      expiresAt: row.expires_at,
      supersededAt: row.superseded_at ?? undefined,
    })),
  }
}

/** The number of the last news, and of the oldest that is kept; that behind the last one where none is. */
export async function findNewsRange(
  database: Database,
  organizationId: string,
): Promise<{ oldest: number; last: number }> {
  const [, found] = await database.sendTransaction({ organizationId }, [
    {
      name: 'find_news_range',
      text: `select last_sequence, (select min(sequence) from revocation where organization_id = current_organization()) as oldest
        from revocation_feed where organization_id = current_organization()`,
      values: [],
    },
  ])
  const row = found?.rows[0] as { last_sequence: number; oldest: number | null } | undefined
  const last = row?.last_sequence ?? 0
  return { oldest: row?.oldest ?? last + 1, last }
}

/** News above one number and not above another, in their order, at most `limit`. */
export async function listNews(
  database: Database,
  organizationId: string,
  scope: NewsScope,
  range: { above: number; to: number; limit: number },
): Promise<News[]> {
  const [, found] = await database.sendTransaction({ organizationId }, [
    {
      name: `list_news_${scope.of}`,
      text: `select r.sequence, r.principal_id, r.status, r.changed_at from revocation r
        where r.organization_id = current_organization() and r.sequence > $1 and r.sequence <= $2
          ${isHeard[scope.of]('r.principal_id', '$4')} order by r.sequence limit $3`,
      values: [range.above, range.to, range.limit, ...scopeValues(scope)],
    },
  ])
  return ((found?.rows ?? []) as NewsRow[]).map((row) => ({
    sequence: row.sequence,
    deviceId: row.principal_id,
    status: row.status,
    changedAt: row.changed_at,
  }))
}

/** Who may not take part now, by id, above `afterId`; at most `limit`. */
export async function listBarredDevices(
  database: Database,
  organizationId: string,
  scope: NewsScope,
  page: { afterId: string; limit: number },
): Promise<BarredDevice[]> {
  const [, found] = await database.sendTransaction({ organizationId }, [
    {
      name: `list_barred_${scope.of}`,
      text: `select p.id, p.status from principal p
        where p.organization_id = current_organization() and p.status in ('QUARANTINED', 'SUSPENDED', 'REVOKED') and p.id > $1
          ${isHeard[scope.of]('p.id', '$3')} order by p.id limit $2`,
      values: [page.afterId, page.limit, ...scopeValues(scope)],
    },
  ])
  return ((found?.rows ?? []) as { id: string; status: PrincipalStatus }[]).map(({ id, status }) => ({
    deviceId: id,
    status,
  }))
}

/** A condition on a column of devices, behind others. */
const isHeard: Record<NewsScope['of'], (device: string, id: string) => string> = {
  organization: () => '',
  made: (device, id) => `and exists (select from federation_member m
    join federation f on f.organization_id = m.organization_id and f.id = m.federation_id
    where m.organization_id = current_organization() and m.device_id = ${device} and f.created_by = ${id})`,
  assigned: (device, id) => `and exists (select from federation_member m
    join federation_coordinator c on c.organization_id = m.organization_id and c.federation_id = m.federation_id
    where m.organization_id = current_organization() and m.device_id = ${device} and c.coordinator_id = ${id})`,
}

function scopeValues(scope: NewsScope): string[] {
  return 'id' in scope ? [scope.id] : []
}

interface NewsRow {
  sequence: number
  principal_id: string
  status: PrincipalStatus
  changed_at: number
}

interface SessionRow {
  id: string
  state: SessionState
  created_at: number
  expires_at: number
  superseded_at: number | null
}
