import { BUCKET_MS, bucketAt } from '../../protocol/exchange/bucket.ts'
import { SESSION_MS } from '../../protocol/exchange/session-states.ts'
import type { TestDatabase } from './database.ts'

/**
 * Sessions with devices of their own, of the first organization, as they are stored when they are made at `createdAt`; their chains
 * are zeros. The partition of the day is there.
 */
export async function seedSessions(
  { database }: { database: Pick<TestDatabase, 'sql'> },
  wish: { sessions: number; state: 'PENDING' | 'ACTIVE'; createdAt: number },
): Promise<void> {
  const { sessions, state, createdAt } = wish
  const [bucket, expiresAt] = [bucketAt(createdAt), createdAt + SESSION_MS]
  const lastEpoch = bucketAt(expiresAt)
  const time = (bucket * BUCKET_MS).toString(16).padStart(12, '0')
  await database.sql.query(
    `with made as (
        select gen_random_uuid() as principal_id,
          ($1::text || '8' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid as id
        from generate_series(1, $2::int)
      ), principals as (
        insert into principal (organization_id, id, kind, name, status, spiffe_id, metadata, created_at, active_session_id,
            pending_session_ids)
          select o.id, principal_id, 'device', 'seeded', 'ACTIVE', 'spiffe://test/' || principal_id, '{}', $3,
            case $4::session_state when 'ACTIVE' then made.id end,
            case $4::session_state when 'PENDING' then array[made.id] else '{}' end
          from made, (select id from organization order by created_at, id limit 1) o)
      insert into session (organization_id, id, principal_id, state, suite, bucket, last_epoch, created_at, expires_at,
          confirmed_at, chains, confirmation_hash)
        select o.id, made.id, principal_id, $4, 'ML-KEM-1024', $5, $6, $3, $7,
          case $4::session_state when 'ACTIVE' then $3::timestamptz end,
          decode(repeat('00', (99 * ($6::bigint - $5::bigint + 1))::int), 'hex'), decode(repeat('00', 32), 'hex')
        from made, (select id from organization order by created_at, id limit 1) o`,
    [time, sessions, new Date(createdAt), state, bucket, lastEpoch, new Date(expiresAt)],
  )
}
