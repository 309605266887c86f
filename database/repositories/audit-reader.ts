import { CompiledQuery, sql } from 'kysely'
import { HASH_BYTES } from '../../protocol/log/merkle.ts'
import { TILE_WIDTH, type TilePlace } from '../../protocol/log/tiles.ts'
import type { Database, Tx } from '../open.ts'

export interface StoredCheckpoint {
  id: number
  size: number
  root: Uint8Array
  signedAt: number
  /** The signed note, with the lines of the witnesses that have signed it so far. */
  note: string
}

const publishedId = 'select published_id from audit_log_state'
const witnessedId = `select checkpoint_id from (select checkpoint_id, count(*) as witnesses from audit_cosignature
    where checkpoint_id <= (select published_id from audit_log_state)
    group by checkpoint_id order by checkpoint_id desc limit 10) as newest
  order by witnesses desc, checkpoint_id desc limit 1`

/** The newest that readers may know of; undefined before the first. */
export function findPublishedCheckpoint(tx: Tx): Promise<StoredCheckpoint | undefined> {
  return findCheckpoint(tx, publishedId)
}

/** The newest that was signed, published or not: what a sequencer begins with. */
export function findNewestCheckpoint(tx: Tx): Promise<StoredCheckpoint | undefined> {
  return findCheckpoint(tx, 'select max(id) from audit_checkpoint')
}

/** Of the ten newest that witnesses have signed, the one that most of them have; undefined without any. */
export function findWitnessedCheckpoint(tx: Tx): Promise<StoredCheckpoint | undefined> {
  return findCheckpoint(tx, witnessedId)
}

interface CheckpointRow {
  id: number
  size: number
  root: Uint8Array
  signed_at: number
  note: string
}

function selectCheckpoint(id: string): string {
  return `select id, size, root, signed_at, note || coalesce((select string_agg(line || chr(10), '' order by witness)
      from audit_cosignature where checkpoint_id = id), '') as note
    from audit_checkpoint where id = (${id})`
}

async function findCheckpoint(tx: Tx, id: string): Promise<StoredCheckpoint | undefined> {
  const { rows } = await sql.raw<CheckpointRow>(selectCheckpoint(id)).execute(tx)
  return toCheckpoint(rows[0])
}

function toCheckpoint(row: CheckpointRow | undefined): StoredCheckpoint | undefined {
  return row && { id: row.id, size: row.size, root: row.root, signedAt: row.signed_at, note: row.note }
}

/** What a proof is made of, in one round trip: where the event stands, and the newest checkpoints. */
export async function findForProof(
  database: Database,
  organizationId: string,
  eventId: string,
): Promise<{ index: number | undefined; checkpoints: StoredCheckpoint[] }> {
  const [, event, witnessed, published] = await database.sendTransaction({ organizationId }, [
    { name: 'find_event_index', text: 'select index from audit_event_id where event_id = $1', values: [eventId] },
    { name: 'find_witnessed', text: selectCheckpoint(witnessedId), values: [] },
    { name: 'find_published', text: selectCheckpoint(publishedId), values: [] },
  ])
  const rows = [...(witnessed?.rows ?? []), ...(published?.rows ?? [])] as CheckpointRow[]
  return { index: event?.rows[0]?.index, checkpoints: rows.flatMap((row) => toCheckpoint(row) ?? []) }
}

interface TileHashes {
  level: number
  first_index: number
  hashes: Uint8Array
}

/** A tile has one row at least for each hash: with that limit the planner looks for each tile by its index. */
const selectTiles = `select t.level, t.first_index, t.hashes
  from unnest($1::smallint[], $2::bigint[]) as wanted (level, tile)
  cross join lateral (
    select level, first_index, hashes from audit_tile
      where level = wanted.level
        and first_index >= wanted.tile * ${TILE_WIDTH} and first_index < (wanted.tile + 1) * ${TILE_WIDTH}
      order by first_index limit ${TILE_WIDTH}
  ) as t
  order by t.level, t.first_index`

/** As `readTiles`, in a transaction of its own and one round trip. */
export async function readTilesAtOnce(
  database: Database,
  places: readonly TilePlace[],
): Promise<Map<string, Uint8Array[]>> {
  if (places.length === 0) return new Map()
  const values = [places.map(({ level }) => level), places.map(({ tile }) => tile)]
  const statement = { name: 'read_tiles', text: selectTiles, values }
  const [, result] = await database.sendTransaction({ organizationId: '' }, [statement])
  return joinTiles(places, (result?.rows ?? []) as TileHashes[])
}

/** The hashes of these tiles, as far as they are stored: more than a published checkpoint covers, perhaps. By level and tile. */
export async function readTiles(tx: Tx, places: readonly TilePlace[]): Promise<Map<string, Uint8Array[]>> {
  if (places.length === 0) return new Map()
  const levels = places.map(({ level }) => level)
  const tiles = places.map(({ tile }) => tile)
  const { rows } = await tx.executeQuery<TileHashes>(CompiledQuery.raw(selectTiles, [levels, tiles]))
  return joinTiles(places, rows)
}

function joinTiles(places: readonly TilePlace[], rows: readonly TileHashes[]): Map<string, Uint8Array[]> {
  const tiles = new Map<string, Uint8Array[]>(places.map((place) => [tileKey(place), []]))
  for (const { level, first_index, hashes } of rows) {
    const tile = tiles.get(tileKey({ level, tile: Math.floor(first_index / TILE_WIDTH) }))
    // A row that is missing before this one would shift all that follow.
    if (tile === undefined || tile.length !== first_index % TILE_WIDTH) continue
    for (let at = 0; at < hashes.length; at += HASH_BYTES) tile.push(hashes.subarray(at, at + HASH_BYTES))
  }
  return tiles
}

export function tileKey({ level, tile }: TilePlace): string {
  return `${level}/${tile}`
}

/** The entries of a range that this reader may see, in order. */
export async function listEntries(
  tx: Tx,
  { start, end }: { start: number; end: number },
): Promise<{ index: number; organizationId: string; eventId: string; entry: string }[]> {
  const rows = await tx
    .selectFrom('audit_entry')
    .select(['index', 'organization_id', 'event_id', 'entry'])
    .where('index', '>=', start)
    .where('index', '<', end)
    .orderBy('index')
    .execute()
  return rows.map((row) => ({
    index: row.index,
    organizationId: row.organization_id,
    eventId: row.event_id,
    entry: row.entry,
  }))
}

/** Where events of this reader stand in a range, whether their bodies are there or not. */
export async function listOwnIndexes(tx: Tx, { start, end }: { start: number; end: number }): Promise<number[]> {
  const rows = await tx
    .selectFrom('audit_event_id')
    .select('index')
    .where('index', '>=', start)
    .where('index', '<', end)
    .execute()
  return rows.map(({ index }) => index)
}

/** Where in a range the log has no event of anybody: nowhere, unless somebody took rows out of the database. */
export async function findMissingEvents(tx: Tx, { start, end }: { start: number; end: number }): Promise<number[]> {
  const { rows } = await sql<{ index: number }>`
    select index from find_missing_events(${start}, ${end}) as index`.execute(tx)
  return rows.map(({ index }) => index)
}

export async function findEventIndex(tx: Tx, eventId: string): Promise<number | undefined> {
  const row = await tx.selectFrom('audit_event_id').select('index').where('event_id', '=', eventId).executeTakeFirst()
  return row?.index
}

/** Undefined where the reader may not see it, or its body is gone. */
export async function findEntry(tx: Tx, index: number): Promise<string | undefined> {
  const row = await tx.selectFrom('audit_entry').select('entry').where('index', '=', index).executeTakeFirst()
  return row?.entry
}

/** Whether bodies at this index were removed because they are old. */
export async function findRemovedRanges(tx: Tx): Promise<{ start: number; end: number }[]> {
  const rows = await tx
    .selectFrom('audit_partition')
    .select(['first_index', 'end_index'])
    .where('removed_at', 'is not', null)
    .orderBy('first_index')
    .execute()
  return rows.map((row) => ({ start: row.first_index, end: row.end_index }))
}

/** As the sequencer: whether the service's very first event still waits for the log; also true where there is no service yet. */
export async function isBeforeFirstEvent(tx: Tx): Promise<boolean> {
  const { rows } = await sql<{ first: boolean }>`select not exists (select from trust_bundle)
    or exists (select from audit_outbox where entry like '%"type":"service.initialized"%') as first`.execute(tx)
  return rows[0]?.first === true
}
