// Running it twice is harmless: a version is made behind a lock from what is stored then, and destroyed by one conditional statement.

import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { destroyKek, type KekLife, listKekLives, retireKek } from '../../database/repositories/keks.ts'
import { insertKek } from '../../database/repositories/service-keys.ts'
import { lockKeyRotation } from '../../database/repositories/signing-keys.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { Happening, WriteEvent } from '../../runtime/audit-events.ts'
import { KEK_USE_BUDGET } from '../../runtime/custody/kek-uses.ts'
import { isCounted, type KeyringPurpose, keyringPurposes, wrapNewKek } from '../../runtime/custody/keyring.ts'
import { sealPurposes } from '../../runtime/custody/sealed-record.ts'
import type { Wrapper } from '../../runtime/custody/wrapper.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { RotationTimes } from '../../runtime/rotation-setting.ts'
import { type ResealProgress, type ResealValuesParts, resealValues } from './reseal-values.ts'

export interface RotateKeksParts {
  database: Database
  wrapper: Wrapper
  crypto: Primitives
  writeEvent: WriteEvent
}

/** As the schedule runs it: what is old has a successor, what lasts is brought under it, and what is not used is erased. */
export async function rotateOldKeks(
  parts: RotateKeksParts &
    ResealValuesParts & { rotation: RotationTimes; refreshKeys: () => Promise<void>; logger: Logger },
  now: number,
  progress?: ResealProgress,
): Promise<void> {
  const { logger } = parts
  const made = await makeKekVersions(parts, now - parts.rotation.kekAge, now)
  for (const kek of made) logger.info(`key-encryption key ${kek.version} of ${kek.purpose} seals from here on`)
  await parts.refreshKeys()
  const { seeds, macs, mismatched } = await resealValues(parts, now, progress)
  if (seeds + macs > 0) logger.info('values are under the newest key-encryption keys', { count: seeds + macs })
  if (mismatched > 0)
    logger.error('identity keys or policies are not as they were made: somebody wrote to the database', {
      count: mismatched,
    })
  for (const kek of await destroyUnusedKeks(parts, now))
    logger.info(`key-encryption key ${kek.version} of ${kek.purpose} is destroyed`)
}

export interface KekName {
  purpose: KeyringPurpose
  version: number
}

/**
 * The next version of every key-encryption key that was made before a time, has sealed as often as it should, or whose successor was
 * asked for. It seals at once: a
 * process that does not know it yet reads it when a record names it. Returns what was made.
 */
export function makeKekVersions(parts: RotateKeksParts, madeBefore: number, now: number): Promise<KekName[]> {
  return parts.database.withOrganization(NIL_UUID, async (tx) => {
    await lockKeyRotation(tx)
    const lives = await listKekLives(tx)
    const made: KekName[] = []
    const happened: KekHappening[] = []
    for (const purpose of keyringPurposes) {
      const code = sealPurposes[purpose]
      const active = lives.find((kek) => kek.purpose === code && kek.retiredAt === undefined)
      if (active === undefined) continue
      const why = whyNext(purpose, active, madeBefore)
      if (why === undefined) continue
      const kek = await wrapNewKek(parts.crypto, parts.wrapper, purpose, active.version + 1)
      if (!(await retireKek(tx, active, now)))
        throw new Error(`A key-encryption key of ${purpose} changed under the lock.`)
      await insertKek(tx, { ...kek, purpose: code }, now)
      made.push({ purpose, version: kek.version })
      const data = { replaces: active.version, why }
      happened.push({ type: 'kek.made', subject: { purpose, version: kek.version }, data })
    }
    await insertEvents(tx, toEvents(parts.writeEvent, happened, now))
    return made
  })
}

function whyNext(purpose: KeyringPurpose, active: KekLife, madeBefore: number): string | undefined {
  if (active.dueAt !== undefined) return 'request'
  if (active.createdAt <= madeBefore) return 'age'
  if (!isCounted(purpose)) return undefined
  if (active.uses === undefined) return 'uncounted'
  return active.uses >= KEK_USE_BUDGET ? 'use' : undefined
}

/** Erases every version that nothing is sealed under any more, a day after it was retired at the earliest. Returns what was erased. */
export async function destroyUnusedKeks(parts: RotateKeksParts, now: number): Promise<KekName[]> {
  const lives = await parts.database.withoutOrganization(listKekLives)
  const destroyed: KekName[] = []
  for (const { purpose: code, version, retiredAt } of lives) {
    const purpose = keyringPurposes.find((name) => sealPurposes[name] === code)
    if (retiredAt === undefined || purpose === undefined) continue
    const isDestroyed = await parts.database.withOrganization(NIL_UUID, async (tx) => {
      if (!(await destroyKek(tx, { purpose: code, version }, now))) return false
      const happening = { type: 'kek.destroyed', subject: { purpose, version }, data: {} } as const
      await insertEvents(tx, toEvents(parts.writeEvent, [happening], now))
      return true
    })
    if (isDestroyed) destroyed.push({ purpose, version })
  }
  return destroyed
}

type KekHappening = Happening<'kek.made' | 'kek.destroyed'>

function toEvents(writeEvent: WriteEvent, happened: readonly KekHappening[], now: number) {
  const shared = { organizationId: NIL_UUID, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
  return happened.map((happening) => writeEvent({ ...shared, ...happening }, now))
}
