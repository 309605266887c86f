import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { macAttester } from '../../runtime/custody/attester-mac.ts'
import { resealValues } from '../../workers/jobs/reseal-values.ts'
import { destroyUnusedKeks, makeKekVersions } from '../../workers/jobs/rotate-keks.ts'
import { enrollTestDevice } from '../support/api.ts'
import { always, type KekRotation, openKekRotation } from '../support/kek-rotation.ts'
import { DAY_MS, pass } from '../support/rotation.ts'

/** The MACs of attester states follow the key-encryption keys, and a key goes when no state has its MAC under it. */

let rotation: KekRotation
beforeEach(async () => {
  rotation = await openKekRotation()
})
afterEach(() => rotation.close())

/** A device of which something is known, as if its evidence had said so. */
async function enrollAttester(): Promise<string> {
  const { service, select } = rotation
  const { deviceId } = await enrollTestDevice(service)
  const [organization] = await select<{ id: string }>('select id from organization')
  const facts = { organizationId: organization?.id ?? '', principalId: deviceId, format: 'tpm2', attesterId: deviceId }
  const { mac, version } = macAttester(service.serviceKeys.keyring, { ...facts, state: '{}' })
  await service.database.sql.query(
    `insert into attester_state (organization_id, principal_id, format, attester_id, state, mac, mac_key_version, updated_at)
      values ($1, $2, 'tpm2', $3, '{}', $4, $5, now())`,
    [facts.organizationId, deviceId, facts.attesterId, mac, version],
  )
  return deviceId
}

const states = () =>
  rotation.select<{ id: string; key: number }>(
    'select principal_id as id, mac_key_version::int as key from attester_state order by 1',
  )
async function nextKeys(): Promise<void> {
  await makeKekVersions(rotation.parts, always, rotation.service.time.now)
  await rotation.workerKeys.refresh()
}

describe('the MAC of an attester state', () => {
  test('follows the newest key, once, and keeps the key before it until then', async () => {
    const { service, parts } = rotation
    const ids = [await enrollAttester(), await enrollAttester()].toSorted()
    await nextKeys()
    await pass(service, 2 * DAY_MS)
    const destroyed = async () => (await destroyUnusedKeks(parts, service.time.now)).map(({ purpose }) => purpose)
    await rotation.select(`update identity_key set mac_key_version = 2`)
    expect(await destroyed()).not.toContain('identityMac')
    await rotation.select(`update identity_key set mac_key_version = 1`)
    const both = await Promise.all([1, 2].map(() => resealValues(parts, service.time.now)))
    expect(both.reduce((sum, { macs }) => sum + macs, 0)).toBe(4)
    expect(await states()).toEqual(ids.map((id) => ({ id, key: 2 })))
    expect(await resealValues(parts, service.time.now)).toEqual({ seeds: 0, macs: 0, mismatched: 0 })
    expect(await destroyed()).toContain('identityMac')
  })

  test('is not made good for a state that somebody changed: one event tells of it, and its key goes all the same', async () => {
    const { service, parts } = rotation
    const [swapped, honest] = [await enrollAttester(), await enrollAttester()]
    await service.database.sql.query(`update attester_state set state = '{"x":1}' where principal_id = $1`, [swapped])
    await nextKeys()
    expect(await resealValues(parts, service.time.now)).toMatchObject({ macs: 3, mismatched: 1 })
    expect(await resealValues(parts, service.time.now), 'once').toEqual({ seeds: 0, macs: 0, mismatched: 0 })
    expect((await rotation.eventsOf('attester.mac_mismatched')).map(({ subject }) => subject)).toEqual([
      { deviceId: swapped },
    ])
    const keys = new Map((await states()).map(({ id, key }) => [id, key]))
    expect([keys.get(swapped), keys.get(honest)]).toEqual([1, 2])
    await pass(service, 2 * DAY_MS)
    expect(await destroyUnusedKeks(parts, service.time.now)).toContainEqual({ purpose: 'identityMac', version: 1 })
  })
})
