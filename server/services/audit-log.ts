import type { Database } from '../../database/open.ts'
import {
  findEntry,
  findEventIndex,
  findForProof,
  findPublishedCheckpoint,
  findWitnessedCheckpoint,
  readTilesAtOnce,
  type StoredCheckpoint,
  tileKey,
} from '../../database/repositories/audit-reader.ts'
import { type EventPage, listEvents } from '../../database/repositories/list-audit-events.ts'
import type { Json } from '../../protocol/encoding.ts'
import {
  consistencyRanges,
  hashesOf,
  hashRange,
  inclusionRanges,
  type Range,
  tilesOfRanges,
} from '../../protocol/log/proofs.ts'
import { type TilePlace, tileWidth } from '../../protocol/log/tiles.ts'
import { formatTlogProof } from '../../protocol/log/tlog-proof.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'

export interface IndexedEvent {
  index: number
  /** Exactly as it was hashed. */
  event: Json
}

export type AuditLog = ReturnType<typeof createAuditLog>

/** The audit log for its readers: as far as a published checkpoint covers it, and of events those of their organization. */
export function createAuditLog(parts: { auditor: Database; crypto: Primitives }) {
  const { auditor, crypto } = parts

  async function getCheckpoint(isWitnessed: boolean): Promise<StoredCheckpoint> {
    const checkpoint = await auditor.withoutOrganization(
      isWitnessed ? findWitnessedCheckpoint : findPublishedCheckpoint,
    )
    if (checkpoint !== undefined) return checkpoint
    const what = isWitnessed ? 'No witness has signed a checkpoint' : 'The log has no checkpoint'
    throw new ServiceError('unavailable', `${what} yet.`, { retryAfterSeconds: isWitnessed ? 60 : 1 })
  }

  async function hashRanges(ranges: readonly Range[]): Promise<Uint8Array[]> {
    const tiles = await readTilesAtOnce(auditor, tilesOfRanges(ranges))
    return ranges.map((range) => hashRange(crypto, (place) => tiles.get(tileKey(place)) ?? [], range))
  }

  /** A `c2sp.org/tlog-proof@v1`, also of an event whose body was removed; undefined until a published checkpoint covers it. */
  async function findProof(organizationId: string, eventId: string): Promise<string | undefined> {
    const { index, checkpoints } = await findForProof(auditor, organizationId, eventId)
    // The first is the witnessed one, where there is one.
    const checkpoint = checkpoints.find(({ size }) => index !== undefined && size > index)
    if (index === undefined || checkpoint === undefined) return undefined
    const hashes = await hashRanges(inclusionRanges(index, checkpoint.size))
    return formatTlogProof({ index, hashes, checkpoint: checkpoint.note })
  }

  return {
    getCheckpoint,

    /** Hashes of RFC 6962 §2.1.2; `to`: the published size where it is not given. */
    async proveConsistency(from: number, to: number | undefined): Promise<{ to: number; hashes: Uint8Array[] }> {
      const { size } = await getCheckpoint(false)
      const end = to ?? size
      if (end > size) throw new ServiceError('malformed', `to: the log has ${size} entries.`, { field: 'to' })
      if (from > end) throw new ServiceError('malformed', 'from: is behind to.', { field: 'from' })
      const ranges = consistencyRanges(from, end)
      return { to: end, hashes: await hashRanges(ranges) }
    },

    /** The first `width` hashes of a tile. Throws `not_found` where the published log has not as many. */
    async readTile(place: TilePlace, width: number): Promise<Uint8Array[]> {
      const { size } = await getCheckpoint(false)
      if (tileWidth(place, size) < width) throw new ServiceError('not_found', 'The log has no such tile yet.')
      const tiles = await readTilesAtOnce(auditor, [place])
      const hashes = tiles.get(tileKey(place))?.slice(0, width) ?? []
      if (hashes.length !== width) throw new ServiceError('internal', `Tile ${tileKey(place)} of the log is damaged.`)
      return hashes
    },

    async listEvents(caller: Operator, page: Omit<EventPage, 'organizationId'>): Promise<IndexedEvent[]> {
      const { organizationId } = caller
      const rows = await auditor.withOrganization(organizationId, (tx) => listEvents(tx, { ...page, organizationId }))
      return rows.map(({ index, entry }) => ({ index, event: JSON.parse(entry) as Json }))
    },

    /** Throws `not_found`, also where the body was removed because it is old. */
    async getEvent(caller: Operator, eventId: string): Promise<IndexedEvent> {
      return auditor.withOrganization(caller.organizationId, async (tx) => {
        const index = await findEventIndex(tx, eventId)
        const entry = index === undefined ? undefined : await findEntry(tx, index)
        if (index === undefined || entry === undefined) throw noEvent()
        return { index, event: JSON.parse(entry) as Json }
      })
    },

    findProof,

    /** That it is in the log, for whoever has the event. Throws `not_found`. */
    async proveEvent(caller: Operator, eventId: string): Promise<string> {
      const proof = await findProof(caller.organizationId, eventId)
      if (proof === undefined) throw noEvent()
      return proof
    },

    /** One hash for each perfect subtree of the first `size` entries. */
    async readFrontier(size: number): Promise<Uint8Array[]> {
      const range = { start: 0, end: size }
      const tiles = await readTilesAtOnce(auditor, tilesOfRanges([range]))
      return hashesOf(crypto, (place) => tiles.get(tileKey(place)) ?? [], range)
    },
  }
}

function noEvent(): ServiceError {
  return new ServiceError('not_found', 'There is no such event in the log, or not yet.')
}
