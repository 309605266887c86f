// Running it twice is harmless, halfway and at once too: what is told is noted in the transaction of its event, under a key that there
// is once, and only what that stored has an event. Who imports meanwhile is left out, and what was replaced is told of no more.

import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  type CollateralAlarmTime,
  listUntoldCollateral,
  noteCollateralAlarms,
} from '../../database/repositories/collateral-alarms.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'

/** Rows that one look-up gives; those of one organization among them are one transaction: who imports meanwhile waits for one of these. */
const PAGE = 500
const HOUR_SECONDS = 3_600

export interface CheckCollateralParts {
  database: Database
  writeEvent: WriteEvent
  collateralWarningHours: number
}

/** How many of each were told for the first time. */
export interface ToldCollateral {
  ending: number
  ended: number
}

const eventTypes = { ending: 'collateral.ending', ended: 'collateral.ended' } as const

/** Tells of collateral in use that ends soon, and of that which has ended: each once. What has ended when it is first seen has only ended. */
export async function checkCollateral(
  parts: CheckCollateralParts,
  now: number,
  progress: (done: number, total: number) => Promise<void> = async () => {},
): Promise<ToldCollateral> {
  const time = { now, warningSeconds: parts.collateralWarningHours * HOUR_SECONDS }
  const told: ToldCollateral = { ending: 0, ended: 0 }
  for (;;) {
    const found = await parts.database.withoutOrganization((tx) => listUntoldCollateral(tx, time, PAGE))
    const before = sumOf(told)
    for (const [organizationId, rows] of Map.groupBy(found, (row) => row.organizationId)) {
      const ids = rows.map(({ id }) => id)
      for (const stage of await tellOf(parts, organizationId, ids, time)) told[stage]++
      await progress(sumOf(told), before + found.length)
    }
    // None of a whole page: somebody else has them all, and will see to the rest.
    if (found.length < PAGE || sumOf(told) === before) return told
  }
}

export async function checkCollateralInTime(
  parts: CheckCollateralParts & { logger: Logger },
  now: number,
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const count = sumOf(await checkCollateral(parts, now, progress))
  if (count > 0) parts.logger.warn('collateral ends soon, or is out of date', { count })
}

function tellOf(
  parts: CheckCollateralParts,
  organizationId: string,
  ids: readonly string[],
  time: CollateralAlarmTime,
): Promise<(keyof ToldCollateral)[]> {
  return parts.database.withOrganization(organizationId, async (tx) => {
    const alarms = await noteCollateralAlarms(tx, ids, time)
    const requestId = newId()
    const events = alarms.map(({ id, stage, ...data }) =>
      parts.writeEvent(
        {
          organizationId,
          actor: { type: 'service', id: NIL_UUID },
          type: eventTypes[stage],
          subject: { collateralId: id },
          data,
          requestId,
        },
        time.now,
      ),
    )
    if (events.length > 0) await insertEvents(tx, events)
    return alarms.map(({ stage }) => stage)
  })
}

function sumOf({ ending, ended }: ToldCollateral): number {
  return ending + ended
}
