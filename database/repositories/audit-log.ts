import { sql } from 'kysely'
import type { Database, Statement, Tx } from '../open.ts'

// What the sequencer does with the log (role qflare_sequencer). Readers: audit-reader.ts.

export interface AuditLogState {
  size: number
  /** Of the sequencer that may append. */
  epoch: number
  partitionEntries: number
}

/** Becomes the sequencer: whoever was it before hits no row any more. */
export async function takeOverLog(tx: Tx): Promise<AuditLogState> {
  const row = await tx
    .updateTable('audit_log_state')
    .set({ epoch: sql`epoch + 1` })
    .returning(['size', 'epoch', 'partition_entries'])
    .executeTakeFirstOrThrow()
  return { size: row.size, epoch: row.epoch, partitionEntries: row.partition_entries }
}

export interface OutboxEntry {
  organizationId: string
  eventId: string
  entry: string
}

/** The oldest by `seq`, of all organizations. */
export async function listOutbox(database: Database, limit: number): Promise<OutboxEntry[]> {
  const statement = {
    name: 'list_outbox',
    text: 'select organization_id, event_id, entry from audit_outbox order by seq limit $1',
    values: [limit],
  }
  const [, result] = await database.sendTransaction({ organizationId: '' }, [statement])
  return (result?.rows ?? []).map((row) => ({
    organizationId: row.organization_id,
    eventId: row.event_id,
    entry: row.entry,
  }))
}

/** Those of the events that are in the log already. */
export async function findLoggedEvents(database: Database, eventIds: readonly string[]): Promise<Set<string>> {
  const statement = {
    name: 'find_logged_events',
    text: 'select event_id from audit_event_id where event_id = any ($1::uuid[])',
    values: [eventIds],
  }
  const [, result] = await database.sendTransaction({ organizationId: '' }, [statement])
  return new Set((result?.rows ?? []).map((row) => row.event_id))
}

/** An entry with what filters look for. */
export interface LogEntry extends OutboxEntry {
  at: number
  type: string
  severity: string
  actorId: string | undefined
  deviceId: string | undefined
}

export interface TileRow {
  level: number
  firstIndex: number
  hashes: Uint8Array
}

export interface Batch {
  epoch: number
  /** Of the log before. */
  size: number
  entries: readonly LogEntry[]
  tiles: readonly TileRow[]
  /** Event ids of the rows of the outbox that the entries came from. */
  taken: readonly string[]
}

/** All of it, or nothing; `condition_failed` when somebody else became the sequencer, or took an event. */
export async function appendBatch(database: Database, batch: Batch): Promise<void> {
  await database.sendTransaction({ organizationId: '' }, [
    advance(batch),
    insertEntries(batch),
    insertEventIds(batch),
    ...batch.tiles.map(insertTile),
    notePartitionTimes(batch),
    takeFromOutbox(batch.taken),
  ])
}

function advance({ epoch, size, entries }: Batch): Statement {
  return {
    name: 'advance_log',
    text: `with hit as (update audit_log_state set size = $1::bigint where epoch = $2 and size = $3 returning 1)
      select expect_one((select count(*) from hit))`,
    values: [size + entries.length, epoch, size],
  }
}

function insertEntries({ size, entries }: Batch): Statement {
  return {
    name: 'insert_audit_entries',
    text: `insert into audit_entry (index, organization_id, event_id, at, type, severity, actor_id, device_id, entry)
      select $1::bigint + place - 1, organization_id, event_id, at, type, severity, actor_id, device_id, entry
      from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::uuid[], $8::uuid[], $9::text[])
        with ordinality as t (organization_id, event_id, at, type, severity, actor_id, device_id, entry, place)`,
    values: [
      size,
      entries.map((entry) => entry.organizationId),
      entries.map((entry) => entry.eventId),
      entries.map((entry) => new Date(entry.at)),
      entries.map((entry) => entry.type),
      entries.map((entry) => entry.severity),
      entries.map((entry) => entry.actorId),
      entries.map((entry) => entry.deviceId),
      entries.map((entry) => entry.entry),
    ],
  }
}

function insertEventIds({ size, entries }: Batch): Statement {
  return {
    name: 'insert_audit_event_ids',
    text: `insert into audit_event_id (organization_id, event_id, index)
      select organization_id, event_id, $1::bigint + place - 1
      from unnest($2::uuid[], $3::uuid[]) with ordinality as t (organization_id, event_id, place)`,
    values: [size, entries.map((entry) => entry.organizationId), entries.map((entry) => entry.eventId)],
  }
}

function insertTile({ level, firstIndex, hashes }: TileRow): Statement {
  return {
    name: 'insert_audit_tile',
    text: 'insert into audit_tile (level, first_index, hashes) values ($1, $2, $3)',
    values: [level, firstIndex, hashes],
  }
}

/** A batch may end in the next partition; its times then count for both. */
function notePartitionTimes({ size, entries }: Batch): Statement {
  const times = entries.map((entry) => entry.at)
  return {
    name: 'note_partition_times',
    text: `update audit_partition set oldest_at = least(oldest_at, $1), newest_at = greatest(newest_at, $2)
      where first_index < $4 and end_index > $3
        and (oldest_at is null or oldest_at > $1 or newest_at < $2)`,
    values: [new Date(Math.min(...times)), new Date(Math.max(...times)), size, size + entries.length],
  }
}

function takeFromOutbox(taken: readonly string[]): Statement {
  return {
    name: 'take_from_outbox',
    text: `with hit as (delete from audit_outbox where event_id = any ($1::uuid[]) returning 1)
      select expect_one((select count(*) from hit) - $2::bigint + 1)`,
    values: [taken, taken.length],
  }
}

/** True when it was missing. */
export async function makeAuditPartition(tx: Tx, entryIndex: number): Promise<boolean> {
  const { rows } = await sql<{ made: boolean }>`select make_audit_partition(${entryIndex}) as made`.execute(tx)
  return rows[0]?.made ?? false
}

export interface NewCheckpoint {
  epoch: number
  size: number
  root: Uint8Array
  signedAt: number
  note: string
  /** Ids of the keys that signed it. */
  kids: readonly string[]
}

/** Its id. `condition_failed` when somebody else became the sequencer, or one of the keys was retired meanwhile. */
export async function insertCheckpoint(database: Database, checkpoint: NewCheckpoint): Promise<number> {
  // Whoever retires a key waits for this, and says how new a checkpoint may be that it signed.
  const hold = {
    name: 'hold_audit_keys',
    text: `select pg_advisory_xact_lock_shared(hashtext('qflare audit keys'))`,
    values: [],
  }
  const insert = {
    name: 'insert_checkpoint',
    text: `with mine as (select from audit_log_state where epoch = $1 and size = $2
        and not exists (select from signing_key where kid = any ($6::text[]) and status <> 'ACTIVE') for update),
      made as (insert into audit_checkpoint (size, root, signed_at, note) select $2, $3, $4, $5 from mine returning id)
      select expect_one((select count(*) from made)), (select id from made) as id`,
    values: [
      checkpoint.epoch,
      checkpoint.size,
      checkpoint.root,
      new Date(checkpoint.signedAt),
      checkpoint.note,
      checkpoint.kids,
    ],
  }
  const [, , result] = await database.sendTransaction({ organizationId: '' }, [hold, insert])
  return Number(result?.rows[0]?.id)
}

/** From here on readers see it. `condition_failed` when somebody else became the sequencer. */
export async function publishCheckpoint(
  database: Database,
  { epoch, id, size }: { epoch: number; id: number; size: number },
): Promise<void> {
  const statement = {
    name: 'publish_checkpoint',
    text: `with hit as (update audit_log_state set published_id = $1::bigint, published_size = $2
        where epoch = $3 and published_size <= $2 returning 1)
      select expect_one((select count(*) from hit))`,
    values: [id, size, epoch],
  }
  await database.sendTransaction({ organizationId: '' }, [statement])
}

/** How many events wait; `atMost` where there are more. */
export async function countOutbox(tx: Tx, atMost: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from (select from audit_outbox limit ${atMost}) as waiting`.execute(tx)
  return rows[0]?.count ?? 0
}

/** The entry of the event that waits longest; undefined while none does. */
export async function findOldestInOutbox(tx: Tx): Promise<string | undefined> {
  const row = await tx.selectFrom('audit_outbox').select('entry').orderBy('seq').limit(1).executeTakeFirst()
  return row?.entry
}

export async function insertCosignature(
  tx: Tx,
  row: { checkpointId: number; witness: string; line: string },
  receivedAt: number,
): Promise<void> {
  await tx
    .insertInto('audit_cosignature')
    .values({
      checkpoint_id: row.checkpointId,
      witness: row.witness,
      line: row.line,
      received_at: new Date(receivedAt),
    })
    // The same witness may be asked again about a checkpoint that it signed before a crash of ours.
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Of the oldest partition that is older; undefined when there is none. Its entries' bodies are gone then. */
export async function removeOldEntries(
  tx: Tx,
  olderThan: number,
): Promise<{ fromIndex: number; toIndex: number; newestAt: number } | undefined> {
  const { rows } = await sql<{ from_index: number; to_index: number; newest_at: number }>`
    select from_index, to_index, newest_at from remove_audit_entries(${new Date(olderThan)})`.execute(tx)
  const [row] = rows
  return row && { fromIndex: row.from_index, toIndex: row.to_index, newestAt: row.newest_at }
}

export async function pruneCheckpoints(tx: Tx): Promise<number> {
  const { rows } = await sql<{ pruned: number }>`select prune_audit_checkpoints() as pruned`.execute(tx)
  return rows[0]?.pruned ?? 0
}
