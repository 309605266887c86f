import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LiveServiceKeys } from '../../runtime/custody/live-service-keys.ts'
import { resealValues } from '../../workers/jobs/reseal-values.ts'
import { destroyUnusedKeks, makeKekVersions } from '../../workers/jobs/rotate-keks.ts'
import { always, type KekRotation, openKekRotation } from '../support/kek-rotation.ts'
import { DAY_MS, pass } from '../support/rotation.ts'
import type { TestService } from '../support/service.ts'

/** A key-encryption key goes when nothing is sealed under it any more, and not before. */

let rotation: KekRotation
let service: TestService
let workerKeys: LiveServiceKeys
let parts: KekRotation['parts']
const enrol = () => rotation.enrol()
const select = <T>(text: string, values?: unknown[]) => rotation.select<T>(text, values)

beforeEach(async () => {
  rotation = await openKekRotation()
  ;({ service, workerKeys, parts } = rotation)
})
afterEach(() => rotation.close())

describe('an old version', () => {
  const destroyed = async () => (await destroyUnusedKeks(parts, service.time.now)).map(({ purpose }) => purpose)

  test('is erased a day after it was retired at the earliest, and once', async () => {
    await makeKekVersions(parts, always, service.time.now)
    await workerKeys.refresh()
    await resealValues(parts, service.time.now)
    await pass(service, DAY_MS - 1)
    expect(await destroyed()).toEqual([])
    await pass(service, 1)
    const both = await Promise.all([destroyed(), destroyed()])
    expect(both.flat().sort()).toEqual(['challenge', 'identityMac', 'signingKey', 'temporalKey'])
    expect(await select('select count(*)::int as count from kek_version where sealed is null')).toEqual([{ count: 4 }])
    expect(await rotation.eventsOf('kek.destroyed')).toHaveLength(4)
  })

  test('that something is under is not erased, whoever asks', async () => {
    await enrol()
    await makeKekVersions(parts, always, service.time.now)
    // A process that knows nothing of the new version makes its keys and its challenges under the old one.
    await service.tick()
    const far = service.time.now + 2 * DAY_MS
    await select('update challenge set expires_at = $1', [new Date(far + 1_000)])
    expect(await destroyUnusedKeks(parts, far)).toEqual([])
    await expect(
      parts.database.withoutOrganization((tx) => tx.updateTable('kek_version').set({ sealed: null }).execute()),
    ).rejects.toThrow(/permission denied/)
    await workerKeys.refresh()
    await resealValues(parts, service.time.now)
    expect(await destroyUnusedKeks(parts, far)).toEqual([
      { purpose: 'signingKey', version: 1 },
      { purpose: 'identityMac', version: 1 },
    ])
    await select('update temporal_key set destroyed_at = now()')
    expect(await destroyUnusedKeks(parts, far + 2_000)).toEqual([
      { purpose: 'challenge', version: 1 },
      { purpose: 'temporalKey', version: 1 },
    ])
  })

  test('that is destroyed leaves a device that nobody knows refused as any other', async () => {
    const device = await enrol()
    await makeKekVersions(parts, always, service.time.now)
    await workerKeys.refresh()
    await resealValues(parts, service.time.now)
    await pass(service, DAY_MS)
    await destroyed()
    await service.serviceKeys.refresh()
    await select('delete from directory where id = $1', [(await device.status()).deviceId])
    await expect(device.exchange()).rejects.toMatchObject({ code: 'exchange_refused' })
  })
})
