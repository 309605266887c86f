// Running it twice is harmless: what is made or destroyed already is left as it is (make-temporal-keys.ts, destroy-temporal-keys.ts).

import { bucketAt } from '../../protocol/exchange/bucket.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { type DestroyTemporalKeysParts, type DestructionLimit, destroyTemporalKeys } from './destroy-temporal-keys.ts'
import { type MakeTemporalKeysParts, makeTemporalKeys } from './make-temporal-keys.ts'

/** Throws when the clock ran ahead, so that it shows wherever failed jobs show. */
export async function destroyOverdueKeys(
  parts: DestroyTemporalKeysParts & { destructionLimit: DestructionLimit; clock: Clock; logger: Logger },
  now: number,
): Promise<void> {
  const machineNow = now - parts.clock.offsetMs()
  const { destroyed, isHeldBack } = await destroyTemporalKeys(parts, parts.destructionLimit, now, machineNow)
  for (const key of destroyed)
    parts.logger.info(`${key.kind} key destroyed`, { epoch: key.number, generation: key.generation })
  if (isHeldBack) {
    throw new Error('The clock ran ahead: keys are overdue, but are not destroyed faster than time passes.')
  }
}

export async function makeKeysAhead(parts: MakeTemporalKeysParts & { logger: Logger }, now: number): Promise<void> {
  const made = await makeTemporalKeys(parts, now)
  if (made.length > 0) parts.logger.info('temporal keys made', { count: made.length, epoch: bucketAt(now) })
}
