import { sql } from 'kysely'
import type { StoredEntry } from '../../protocol/log/log-check.ts'
import type { TreeHead } from '../../protocol/log/merkle.ts'
import type { Tx } from '../open.ts'

// What a check of the whole log reads, as qflare_sequencer: of all organizations.

/** Entries of a range with the columns that filters look at, in order. */
export async function listStoredEntries(tx: Tx, range: { start: number; end: number }): Promise<StoredEntry[]> {
  const rows = await tx
    .selectFrom('audit_entry')
    .selectAll()
    .where('index', '>=', range.start)
    .where('index', '<', range.end)
    .orderBy('index')
    .execute()
  return rows.map((row) => ({
    index: row.index,
    entry: row.entry,
    eventId: row.event_id,
    organizationId: row.organization_id,
    at: row.at,
    type: row.type,
    severity: row.severity,
    actorId: row.actor_id ?? undefined,
    deviceId: row.device_id ?? undefined,
  }))
}

/** Where events of a range are said to stand. */
export async function listEventIndexes(tx: Tx, range: { start: number; end: number }): Promise<Map<string, number>> {
  const rows = await tx
    .selectFrom('audit_event_id')
    .select(['event_id', 'index'])
    .where('index', '>=', range.start)
    .where('index', '<', range.end)
    .execute()
  return new Map(rows.map((row) => [row.event_id, row.index]))
}

export interface SignedHead extends TreeHead {
  note: string
}

/** Every checkpoint that is kept, the oldest first. */
export async function listCheckpoints(tx: Tx): Promise<SignedHead[]> {
  return tx.selectFrom('audit_checkpoint').select(['size', 'root', 'note']).orderBy('id').execute()
}

/** Tables hold nothing beyond the log: the counts of rows behind it. */
export async function countBeyond(tx: Tx, size: number): Promise<{ entries: number; eventIds: number; tiles: number }> {
  const { rows } = await sql<{ entries: number; event_ids: number; tiles: number }>`
    select (select count(*) from audit_entry where index >= ${size}) as entries,
      (select count(*) from audit_event_id where index >= ${size}) as event_ids,
      (select count(*) from audit_tile where level = 0 and first_index >= ${size}) as tiles`.execute(tx)
  const [row] = rows
  return { entries: row?.entries ?? 0, eventIds: row?.event_ids ?? 0, tiles: row?.tiles ?? 0 }
}
