import { sql } from 'kysely'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { IndexRange, StoredEntry } from '../../protocol/log/log-check.ts'
import type { TreeHead } from '../../protocol/log/merkle.ts'
import { TILE_WIDTH } from '../../protocol/log/tiles.ts'
import type { Tx } from '../open.ts'

// What a check of the whole log reads, as qflare_sequencer: of all organizations.

/** Entries of a range with the columns that filters look at, in order. */
export async function listStoredEntries(tx: Tx, range: IndexRange): Promise<StoredEntry[]> {
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

/** By index, the events that are said to stand in a range. */
export async function listEventIds(
  tx: Tx,
  range: IndexRange,
): Promise<Map<number, { eventId: string; organizationId: string }>> {
  const rows = await tx
    .selectFrom('audit_event_id')
    .select(['event_id', 'organization_id', 'index'])
    .where('index', '>=', range.start)
    .where('index', '<', range.end)
    .execute()
  return new Map(rows.map((row) => [row.index, { eventId: row.event_id, organizationId: row.organization_id }]))
}

/** How far the log goes, and how far it is said to be published; all of one moment. */
export interface PublishedState {
  size: number
  publishedSize: number
  publishedId: number | undefined
  /** Of the checkpoint with that id; undefined where there is none. */
  checkpointSize: number | undefined
}

export async function getPublishedState(tx: Tx): Promise<PublishedState> {
  const row = await tx
    .selectFrom('audit_log_state as s')
    .leftJoin('audit_checkpoint as c', 'c.id', 's.published_id')
    .select(['s.size', 's.published_size', 's.published_id', 'c.size as checkpoint_size'])
    .executeTakeFirstOrThrow()
  return {
    size: row.size,
    publishedSize: row.published_size,
    publishedId: row.published_id ?? undefined,
    checkpointSize: row.checkpoint_size ?? undefined,
  }
}

/** A checkpoint as its columns say; `signedAt` in milliseconds since the Unix epoch. */
export interface KeptCheckpoint extends TreeHead {
  id: number
  signedAt: number
  note: string
}

/** Those that are kept, behind an id, the oldest first. */
export async function listCheckpoints(tx: Tx, afterId: number, limit: number): Promise<KeptCheckpoint[]> {
  const rows = await tx
    .selectFrom('audit_checkpoint')
    .select(['id', 'size', 'root', 'signed_at', 'note'])
    .where('id', '>', afterId)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map(({ signed_at, ...row }) => ({ ...row, signedAt: signed_at }))
}

/** What is said to be removed because it is old, in order, and whether there is a body in it all the same. */
export async function listRemovedPartitions(tx: Tx): Promise<(IndexRange & { hasBodies: boolean })[]> {
  const { rows } = await sql<{ start: number; end: number; has_bodies: boolean }>`
    select p.first_index as start, p.end_index as end,
        exists (select from audit_entry e where e.index >= p.first_index and e.index < p.end_index) as has_bodies
      from audit_partition p where p.removed_at is not null order by p.first_index`.execute(tx)
  return rows.map(({ start, end, has_bodies }) => ({ start, end, hasBodies: has_bodies }))
}

/** The service's own events of a type, as far as their bodies are there, in order. */
export async function listServiceEvents(tx: Tx, type: string): Promise<string[]> {
  const rows = await tx
    .selectFrom('audit_entry')
    .select('entry')
    .where('organization_id', '=', NIL_UUID)
    .where('type', '=', type)
    .orderBy('index')
    .execute()
  return rows.map(({ entry }) => entry)
}

export interface RowsBeyond {
  /** Of the log now. */
  size: number
  entries: number
  eventIds: number
  tiles: number
}

/** Tables hold nothing beyond the log, nor tiles of any level beyond its tree: the counts of rows that are. All of one moment. */
export async function countBeyond(tx: Tx): Promise<RowsBeyond> {
  const { rows } = await sql<{ size: number; entries: number; event_ids: number; tiles: number }>`
    select s.size, (select count(*) from audit_entry where index >= s.size) as entries,
      (select count(*) from audit_event_id where index >= s.size) as event_ids,
      (select count(*) from generate_series(0, 7) as l join audit_tile t on t.level = l
        and t.first_index > (s.size >> (8 * l)) - ${sql.lit(TILE_WIDTH)}
        and t.first_index + length(t.hashes) / 32 > s.size >> (8 * l)) as tiles
      from audit_log_state s`.execute(tx)
  const [row] = rows
  return {
    size: row?.size ?? 0,
    entries: row?.entries ?? 0,
    eventIds: row?.event_ids ?? 0,
    tiles: row?.tiles ?? 0,
  }
}
