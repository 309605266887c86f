import type { Database } from '../../database/open.ts'
import { insertCosignature } from '../../database/repositories/audit-log.ts'
import {
  findPublishedCheckpoint,
  readTilesAtOnce,
  type StoredCheckpoint,
  tileKey,
} from '../../database/repositories/audit-reader.ts'
import { consistencyRanges, hashRange, tilesOfRanges } from '../../protocol/log/proofs.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { WitnessAddress } from './ask-witness.ts'
import { type CosignatureCollector, collectCosignatures } from './collect-cosignatures.ts'

/** Witnesses that look within this time are shown one checkpoint, so that it gets the cosignatures of all of them. */
const HOLD_MS = 2_500

/** Keeps the witnesses' cosignatures of the newest published checkpoints, while this process is the sequencer. */
export function followWitnesses(parts: {
  /** As qflare_sequencer. */
  database: Database
  crypto: Primitives
  clock: Clock
  logger: Logger
  witnesses: readonly WitnessAddress[]
  isSequencer: () => boolean
}): CosignatureCollector {
  const { database, crypto, clock } = parts
  let held: { checkpoint: StoredCheckpoint | undefined; until: number } = { checkpoint: undefined, until: 0 }

  return collectCosignatures({
    ...parts,
    async newestCheckpoint() {
      if (!parts.isSequencer()) return undefined
      if (performance.now() > held.until) {
        held = {
          checkpoint: await database.withoutOrganization(findPublishedCheckpoint),
          until: performance.now() + HOLD_MS,
        }
      }
      return held.checkpoint && { ...held.checkpoint, text: held.checkpoint.note }
    },
    async proveConsistency(from, to) {
      const ranges = consistencyRanges(from, to)
      const tiles = await readTilesAtOnce(database, tilesOfRanges(ranges))
      return ranges.map((range) => hashRange(crypto, (place) => tiles.get(tileKey(place)) ?? [], range))
    },
    async store({ id }, { key }, line) {
      const row = { checkpointId: id, witness: key.name, line }
      await database.withoutOrganization((tx) => insertCosignature(tx, row, clock.now()))
    },
  })
}
