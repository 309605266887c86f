import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { resealValues } from '../../workers/jobs/reseal-values.ts'
import { destroyUnusedKeks, makeKekVersions } from '../../workers/jobs/rotate-keks.ts'
import { call } from '../support/api.ts'
import { always, type KekRotation, openKekRotation } from '../support/kek-rotation.ts'
import { createPolicy } from '../support/policies.ts'
import { DAY_MS, pass } from '../support/rotation.ts'

/** The MACs of appraisal policies follow the key-encryption keys, and a key goes when no policy has its MAC under it. */

let rotation: KekRotation
beforeEach(async () => {
  rotation = await openKekRotation()
})
afterEach(() => rotation.close())

const versions = () =>
  rotation.select<{ id: string; key: number }>(
    `select name || '@' || version as id, mac_key_version::int as key from appraisal_policy order by 1`,
  )
const show = async (name: string) => {
  const { service } = rotation
  return (await call(service, 'GET', `/v1/policies/${name}`, { token: service.adminToken })).status
}
async function nextKeys(): Promise<void> {
  await makeKekVersions(rotation.parts, always, rotation.service.time.now)
  await rotation.workerKeys.refresh()
}

describe('the MAC of a policy', () => {
  test('follows the newest key, once, and the policy stays good', async () => {
    const { service, parts } = rotation
    for (const description of ['one', 'two']) await createPolicy(service, 'edge', { description })
    await nextKeys()
    const both = await Promise.all([1, 2].map(() => resealValues(parts, service.time.now)))
    expect(both.reduce((sum, { macs }) => sum + macs, 0)).toBe(2)
    expect(await versions()).toEqual([
      { id: 'edge@1', key: 2 },
      { id: 'edge@2', key: 2 },
    ])
    expect(await resealValues(parts, service.time.now)).toEqual({ seeds: 0, macs: 0, mismatched: 0 })
    expect(await show('edge')).toBe(200)
    expect((await createPolicy(service, 'edge', { description: 'two' })).id).toBe('edge@2')
  })

  test('keeps its key from being destroyed', async () => {
    const { service, parts } = rotation
    await createPolicy(service, 'edge')
    await nextKeys()
    await pass(service, 2 * DAY_MS)
    const destroyed = async () => (await destroyUnusedKeks(parts, service.time.now)).map(({ purpose }) => purpose)
    expect(await destroyed()).not.toContain('identityMac')
    expect(await show('edge')).toBe(200)
    await resealValues(parts, service.time.now)
    expect(await destroyed()).toContain('identityMac')
    await service.serviceKeys.refresh()
    expect(await show('edge')).toBe(200)
  })

  test('is not made good for a policy that somebody changed: one event tells of it, and its key goes all the same', async () => {
    const { service, parts, select } = rotation
    await createPolicy(service, 'swapped', { enroll: ['affirming'] })
    await createPolicy(service, 'honest')
    await select('alter table appraisal_policy disable trigger user')
    await select(`update appraisal_policy set body = replace(body, 'affirming', 'none') where name = 'swapped'`)
    await select('alter table appraisal_policy enable trigger user')
    await nextKeys()
    expect(await resealValues(parts, service.time.now)).toMatchObject({ macs: 1, mismatched: 1 })
    expect(await resealValues(parts, service.time.now), 'once').toEqual({ seeds: 0, macs: 0, mismatched: 0 })
    expect((await rotation.eventsOf('policy.mac_mismatched')).map(({ subject }) => subject)).toEqual([
      { policyId: 'swapped@1' },
    ])
    await pass(service, 2 * DAY_MS)
    expect(await destroyUnusedKeks(parts, service.time.now)).toContainEqual({ purpose: 'identityMac', version: 1 })
    await service.serviceKeys.refresh()
    expect([await show('swapped'), await show('honest')]).toEqual([500, 200])
  })
})
