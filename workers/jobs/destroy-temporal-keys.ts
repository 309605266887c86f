// Running it twice is harmless: a record is deleted once, and its destruction is recorded by one conditional update.

import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  countSessionsOfEpoch,
  listOverdueTemporalKeys,
  recordDestruction,
  type TemporalKeyRow,
} from '../../database/repositories/temporal-keys.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { MAX_CLOCK_OFFSET_MS } from '../../runtime/clock.ts'
import { newId } from '../../runtime/ids.ts'
import type { TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'

export interface DestroyTemporalKeysParts {
  database: Database
  store: TemporalKeyStore
  writeEvent: WriteEvent
}

/**
 * At most one bucket's end per five minutes of a process's monotonic time, but for what was overdue at its start: a clock
 * that jumps ahead raises an alarm instead of destroying the keys of the future.
 */
export interface DestructionLimit {
  /** The highest number that may be destroyed now, of those that are overdue. */
  allow(overdueBelow: number): number
}

/**
 * `startedAt` is the time at the process's start, by its corrected clock: what is overdue then may go at once. It is not the time
 * of the first run: a clock that jumped before that would pass for a late start.
 */
export function createDestructionLimit(monotonicMs: () => number, startedAt: number): DestructionLimit {
  const startedMs = monotonicMs()
  const below = bucketAt(startedAt - GRACE_MS)
  return {
    allow(overdueBelow) {
      const elapsed = Math.floor((monotonicMs() - startedMs) / BUCKET_MS)
      // One more than has elapsed: the bucket under way at the start ends before five minutes are over.
      return Math.min(overdueBelow, below + elapsed + 1)
    },
  }
}

/**
 * Destroys every key whose epoch or bucket ended more than the grace ago, by the database's clock and by this machine's
 * (`machineNow`): what one of them alone says may be a jump, which a process that has just started could not tell from a long
 * rest. `isHeldBack`: the database's clock ran ahead, of the machine's by more than they may differ, or of the limit.
 */
export async function destroyTemporalKeys(
  parts: DestroyTemporalKeysParts,
  limit: DestructionLimit,
  now: number,
  machineNow = now,
): Promise<{ destroyed: TemporalKeyRow[]; isHeldBack: boolean }> {
  const overdueBelow = bucketAt(now - GRACE_MS)
  const allowedBelow = limit.allow(Math.min(overdueBelow, bucketAt(machineNow - GRACE_MS)))
  const overdue = await parts.database.withoutOrganization((tx) => listOverdueTemporalKeys(tx, allowedBelow))
  const destroyed: TemporalKeyRow[] = []
  for (const key of overdue) if (await destroyKey(parts, key, now)) destroyed.push(key)
  return { destroyed, isHeldBack: allowedBelow < bucketAt(now - GRACE_MS - MAX_CLOCK_OFFSET_MS) }
}

/** False when another worker destroyed it: the row, which is held meanwhile, lets one of them delete the record and say how. */
async function destroyKey(parts: DestroyTemporalKeysParts, key: TemporalKeyRow, now: number): Promise<boolean> {
  return parts.database.withOrganization(NIL_UUID, async (tx) => {
    if (!(await recordDestruction(tx, key, now))) return false
    const sessions = key.kind === 'epoch' ? { sessions: await countSessionsOfEpoch(tx, key.number) } : {}
    const wasThere = await parts.store.destroy(key)
    const event = parts.writeEvent(
      {
        organizationId: NIL_UUID,
        actor: { type: 'service', id: NIL_UUID },
        type: 'temporal_key.destroyed',
        subject: { kind: key.kind, number: key.number, generation: key.generation },
        data: {
          recordHash: toBase64url(key.recordHash),
          // A record that was gone before we came is only seen to be gone.
          how: !wasThere ? 'observed' : parts.store.isErasable ? 'erased' : 'best-effort',
          ...sessions,
        },
        requestId: newId(),
      },
      now,
    )
    await insertEvents(tx, [event])
    return true
  })
}
