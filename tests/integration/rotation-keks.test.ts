import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { markKeksDue } from '../../database/repositories/keks.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { LiveServiceKeys } from '../../runtime/custody/live-service-keys.ts'
import { resealValues } from '../../workers/jobs/reseal-values.ts'
import { destroyUnusedKeks, makeKekVersions, rotateOldKeks } from '../../workers/jobs/rotate-keks.ts'
import { addDevices, always, type KekRotation, openKekRotation } from '../support/kek-rotation.ts'
import { DAY_MS, pass } from '../support/rotation.ts'
import type { TestService } from '../support/service.ts'

/** Key-encryption keys follow each other, and everything that lasts comes under the newest; the service works on meanwhile. */

const YEAR_MS = 365 * DAY_MS
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

describe('a new version', () => {
  test('comes by age, and seals at once', async () => {
    service.time.now += YEAR_MS - 1
    await rotateOldKeks(parts, service.time.now)
    expect(await rotation.eventsOf('kek.made')).toEqual([])
    service.time.now += 1
    await rotateOldKeks(parts, service.time.now)
    expect(await rotation.statuses()).toEqual(
      [2, 3, 4, 5].flatMap((purpose) => [`${purpose} 1 RETIRED`, `${purpose} 2 ACTIVE`]),
    )
    expect((await rotation.eventsOf('kek.made')).map(({ data }) => data)).toEqual(
      [1, 1, 1, 1].map((replaces) => ({ replaces, why: 'age' })),
    )
    expect(workerKeys.keyring.activeVersion('challenge')).toBe(2)
  })

  test('is made once by two workers', async () => {
    const now = service.time.now + YEAR_MS
    await Promise.all([1, 2, 3].map(() => makeKekVersions(parts, now - YEAR_MS, now)))
    expect((await rotation.statuses()).filter((row) => row.includes(' 2 '))).toHaveLength(4)
    expect(await rotation.statuses()).toHaveLength(8)
  })

  test('is found by a process that does not know it yet, the moment a record names it', async () => {
    const device = await enrol()
    await makeKekVersions(parts, always, service.time.now)
    await workerKeys.refresh()
    expect(service.serviceKeys.keyring.activeVersion('identityMac')).toBe(1)
    const place = { organizationId: NIL_UUID, table: 't', column: 'c', primaryKey: new Uint8Array(1) }
    const record = workerKeys.keyring.seal('temporalKey', place, new Uint8Array([7]))
    await resealValues(parts, service.time.now)
    expect((await device.exchange()).session).toBeDefined()
    expect([...(await service.serviceKeys.keyring.open('temporalKey', place, record))]).toEqual([7])
    expect(service.serviceKeys.keyring.activeVersion('identityMac')).toBe(2)
  })
})

describe('sealing again', () => {
  test('serves devices that exchange and enrol before, between and after', async () => {
    const devices = [await enrol(), await enrol()]
    const exchange = async () => {
      for (const device of devices) expect((await device.exchange()).session).toBeDefined()
      devices.push(await enrol())
    }
    for (const step of [
      () => makeKekVersions(parts, always, service.time.now),
      () => workerKeys.refresh(),
      () => resealValues(parts, service.time.now),
      () => pass(service, DAY_MS),
      () => resealValues(parts, service.time.now),
      () => destroyUnusedKeks(parts, service.time.now),
      () => service.serviceKeys.refresh(),
    ]) {
      await step()
      await exchange()
    }
    expect((await rotation.statuses()).filter((row) => row.includes('DESTROYED'))).toEqual(
      [2, 3, 4, 5].map((purpose) => `${purpose} 1 DESTROYED`),
    )
  })

  test('goes on where it was stopped, and tells how far it is', async () => {
    await addDevices(service, 1_100)
    await makeKekVersions(parts, always, service.time.now)
    await workerKeys.refresh()
    const stopped = async () => {
      throw new Error('the process is stopping')
    }
    await expect(resealValues(parts, service.time.now, stopped)).rejects.toThrow('the process is stopping')
    const under = () =>
      select('select mac_key_version::int as version, count(*)::int as count from identity_key group by 1 order by 1')
    expect(await under()).toEqual([
      { version: 1, count: 600 },
      { version: 2, count: 500 },
    ])
    const told: number[][] = []
    const seen = await resealValues(parts, service.time.now, async (done, total) => void told.push([done, total]))
    expect(seen).toEqual({ seeds: 0, macs: 600, mismatched: 0 })
    expect(told).toEqual([
      [500, 600],
      [600, 600],
    ])
    expect(await under()).toEqual([{ version: 2, count: 1_100 }])
    const counts = (await rotation.eventsOf('kek.resealed')).map(({ subject, data }) => [subject.purpose, data.values])
    expect(counts).toEqual([
      ['signingKey', 4],
      ['identityMac', 500],
      ['identityMac', 500],
      ['identityMac', 100],
    ])
  })

  test('of two workers at once makes each MAC anew once', async () => {
    await addDevices(service, 700)
    await makeKekVersions(parts, always, service.time.now)
    await workerKeys.refresh()
    const done = await Promise.all([1, 2].map(() => resealValues(parts, service.time.now)))
    expect(done.reduce((sum, { macs }) => sum + macs, 0)).toBe(700)
    expect(done.reduce((sum, { seeds }) => sum + seeds, 0)).toBe(4)
  })

  test('never gives a good MAC to a key that somebody exchanged, tells of it once, and stops nothing else', async () => {
    const [victim, other] = [await enrol(), await enrol()]
    const { deviceId } = await victim.status()
    await select(
      `update identity_key set public_key = (select public_key from identity_key where principal_id <> $1 limit 1)
      where principal_id = $1`,
      [deviceId],
    )
    await makeKekVersions(parts, always, service.time.now)
    await workerKeys.refresh()
    expect(await resealValues(parts, service.time.now)).toEqual({ seeds: 4, macs: 1, mismatched: 1 })
    expect(await resealValues(parts, service.time.now), 'once').toEqual({ seeds: 0, macs: 0, mismatched: 0 })
    expect((await rotation.eventsOf('identity_key.mac_mismatched')).map(({ subject }) => subject)).toEqual([
      { deviceId },
    ])
    const [row] = await select<{ version: number }>(
      'select mac_key_version::int as version from identity_key where principal_id = $1',
      [deviceId],
    )
    expect(row?.version).toBe(1)
    await pass(service, 2 * DAY_MS)
    expect(await destroyUnusedKeks(parts, service.time.now)).toContainEqual({ purpose: 'identityMac', version: 1 })
    await service.serviceKeys.refresh()
    await expect(victim.exchange()).rejects.toMatchObject({ code: 'exchange_refused' })
    expect((await other.exchange()).session).toBeDefined()
  })

  test('that ends before its events are stored leaves everything under the old version, which still opens it', async () => {
    const device = await enrol()
    await makeKekVersions(parts, always, service.time.now)
    await workerKeys.refresh()
    let events = 0
    const writeEvent: typeof parts.writeEvent = (draft, at) => {
      if (events++ === 1) throw new Error('the process is gone')
      return parts.writeEvent(draft, at)
    }
    await expect(resealValues({ ...parts, writeEvent }, service.time.now)).rejects.toThrow('the process is gone')
    expect(await select('select mac_key_version::int as version from identity_key')).toEqual([{ version: 1 }])
    expect((await device.exchange()).session).toBeDefined()
    await service.serviceKeys.refresh()
    expect((await device.exchange()).session).toBeDefined()
  })
})

test('a successor that was asked for is made whatever the age, once', async () => {
  await parts.database.withoutOrganization((tx) => markKeksDue(tx, service.time.now))
  await Promise.all([1, 2].map(() => rotateOldKeks(parts, service.time.now)))
  await rotateOldKeks(parts, service.time.now)
  expect((await rotation.eventsOf('kek.made')).map(({ data }) => data.why)).toEqual(Array(4).fill('request'))
  expect(await rotation.statuses()).toHaveLength(8)
})
