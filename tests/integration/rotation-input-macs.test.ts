import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { resealValues } from '../../workers/jobs/reseal-values.ts'
import { destroyUnusedKeks, makeKekVersions } from '../../workers/jobs/rotate-keks.ts'
import { call } from '../support/api.ts'
import { addAnchor, addCollateral, addReferenceValue, psaWish, referenceWish } from '../support/attestation-inputs.ts'
import { always, type KekRotation, openKekRotation } from '../support/kek-rotation.ts'
import { DAY_MS, pass } from '../support/rotation.ts'

/** The MACs of trust anchors, reference values and collateral follow the key-encryption keys, and a key goes when none of them is under it. */

let rotation: KekRotation
beforeEach(async () => {
  rotation = await openKekRotation()
})
afterEach(() => rotation.close())

const versions = () =>
  rotation.select<{ key: number }>(
    `select mac_key_version::int as key from trust_anchor union all select mac_key_version::int from reference_value
      union all select mac_key_version::int from collateral`,
  )
const call1 = (method: string, path: string) =>
  call(rotation.service, method, path, { token: rotation.service.adminToken })
const isGenuine = async (path: string) => (await call1('GET', path)).body.isGenuine
async function nextKeys(): Promise<void> {
  await makeKekVersions(rotation.parts, always, rotation.service.time.now)
  await rotation.workerKeys.refresh()
}

describe('the MAC of a trust anchor and of a reference value', () => {
  test('follows the newest key, once, also of those that are removed, and they stay good', async () => {
    const { service, parts } = rotation
    const anchor = `/v1/trust-anchors/${await addAnchor(service)}`
    const removed = `/v1/trust-anchors/${await addAnchor(service)}`
    const value = `/v1/reference-values/${await addReferenceValue(service)}`
    const list = `/v1/collateral/${await addCollateral(service)}`
    await call1('DELETE', removed)
    await nextKeys()
    const both = await Promise.all([1, 2].map(() => resealValues(parts, service.time.now)))
    expect(both.reduce((sum, { macs }) => sum + macs, 0)).toBe(4)
    expect(await versions()).toEqual([{ key: 2 }, { key: 2 }, { key: 2 }, { key: 2 }])
    expect(await resealValues(parts, service.time.now)).toEqual({ seeds: 0, macs: 0, mismatched: 0 })
    for (const path of [anchor, removed, value, list]) expect(await isGenuine(path), path).toBe(true)
  })

  test.each([
    ['trust anchor', (service: KekRotation['service']) => addAnchor(service), '/v1/trust-anchors/'],
    ['reference value', (service: KekRotation['service']) => addReferenceValue(service), '/v1/reference-values/'],
    ['collateral', (service: KekRotation['service']) => addCollateral(service), '/v1/collateral/'],
  ] as const)('of a %s keeps its key from being destroyed', async (_what, add, path) => {
    const { service, parts } = rotation
    const id = await add(service)
    await nextKeys()
    await pass(service, 2 * DAY_MS)
    const destroyed = async () => (await destroyUnusedKeks(parts, service.time.now)).map(({ purpose }) => purpose)
    expect(await destroyed()).not.toContain('identityMac')
    expect(await isGenuine(path + id)).toBe(true)
    await resealValues(parts, service.time.now)
    expect(await destroyed()).toContain('identityMac')
    await service.serviceKeys.refresh()
    expect(await isGenuine(path + id)).toBe(true)
  })

  test('is not made good for what somebody changed: one event each tells of it, and its key goes all the same', async () => {
    const { service, parts, select } = rotation
    const anchor = await addAnchor(service, psaWish())
    const value = await addReferenceValue(service, referenceWish())
    const list = await addCollateral(service)
    const honest = await addAnchor(service, psaWish())
    for (const [table, id] of [
      ['trust_anchor', anchor],
      ['reference_value', value],
      ['collateral', list],
    ]) {
      await select(`alter table ${table} disable trigger user`)
      await select(`update ${table} set name = 'swapped' where id = $1`, [id])
      await select(`alter table ${table} enable trigger user`)
    }
    await nextKeys()
    expect(await resealValues(parts, service.time.now)).toMatchObject({ macs: 1, mismatched: 3 })
    expect(await resealValues(parts, service.time.now), 'once').toEqual({ seeds: 0, macs: 0, mismatched: 0 })
    const subjects = async (type: string) => (await rotation.eventsOf(type)).map(({ subject }) => subject)
    expect(await subjects('trust_anchor.mac_mismatched')).toEqual([{ trustAnchorId: anchor }])
    expect(await subjects('reference_value.mac_mismatched')).toEqual([{ referenceValueId: value }])
    expect(await subjects('collateral.mac_mismatched')).toEqual([{ collateralId: list }])
    await pass(service, 2 * DAY_MS)
    expect(await destroyUnusedKeks(parts, service.time.now)).toContainEqual({ purpose: 'identityMac', version: 1 })
    await service.serviceKeys.refresh()
    expect(await isGenuine(`/v1/trust-anchors/${honest}`)).toBe(true)
    expect(await isGenuine(`/v1/trust-anchors/${anchor}`)).toBe(false)
  })
})
