import { sql } from 'kysely'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Tx } from '../open.ts'
import { findPublishedCheckpoint, type StoredCheckpoint } from './audit-reader.ts'

/** How the log of the service stands, for who examines it. Times in milliseconds since the Unix epoch. */
export interface LogFacts {
  size: number
  /** Events that wait for the log, and since when the first of them does. */
  waiting: number
  waitingSince: number | undefined
  published: StoredCheckpoint | undefined
  /** When a check of the whole log last found a difference. */
  differenceAt: number | undefined
  /** By witness, the size of the newest tree that it cosigned, and when. */
  cosigned: ReadonlyMap<string, { size: number; receivedAt: number }>
}

/** As qflare_sequencer. */
export async function readLogFacts(tx: Tx): Promise<LogFacts> {
  const { rows } = await sql<{ size: number; waiting: number; since: number | null; difference_at: number | null }>`
    select (select size from audit_log_state) as size, (select count(*) from audit_outbox) as waiting,
      (select (entry::jsonb ->> 'at')::bigint from audit_outbox order by seq limit 1) as since,
      (select at from audit_entry where organization_id = ${NIL_UUID} and type = 'audit_log.difference_found'
        order by index desc limit 1) as difference_at`.execute(tx)
  const [row] = rows
  const cosigned = await sql<{ witness: string; size: number; received_at: number }>`
    select distinct on (witness) s.witness, c.size, s.received_at
      from audit_cosignature s join audit_checkpoint c on c.id = s.checkpoint_id
      order by s.witness, s.checkpoint_id desc`.execute(tx)
  return {
    size: row?.size ?? 0,
    waiting: row?.waiting ?? 0,
    waitingSince: row?.since ?? undefined,
    published: await findPublishedCheckpoint(tx),
    differenceAt: row?.difference_at ?? undefined,
    cosigned: new Map(
      cosigned.rows.map(({ witness, size, received_at }) => [witness, { size, receivedAt: received_at }]),
    ),
  }
}
