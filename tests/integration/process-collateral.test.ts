import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { call } from '../support/api.ts'
import { addCollateral } from '../support/attestation-inputs.ts'
import { crlWish } from '../support/crl.ts'
import { derTime } from '../support/der.ts'
import { makeServiceFolder, readAdminToken, removeServiceFolder, spawnService } from '../support/service-process.ts'

const HOUR_MS = 3_600_000
let folder: string
beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

test('a service tells of collateral that ends as its setting says, over its queue, in its log and in its metrics', async () => {
  const service = spawnService(folder, { QFLARE_COLLATERAL_WARNING_HOURS: '2' })
  const url = await service.ready()
  const token = await readAdminToken(folder)
  const now = Date.now()
  const add = (issuer: string, endsIn: number) =>
    addCollateral(
      { url, adminToken: token },
      crlWish({ issuer, thisUpdate: derTime(now - 100 * HOUR_MS), nextUpdate: derTime(now + endsIn * HOUR_MS) }),
    )
  const [ended, ending] = [await add('Ended', -1), await add('Ending', 1.5), await add('Living', 3)]
  expect((await call({ url }, 'POST', '/v1/jobs/check-collateral/run', { token, body: {} })).status).toBe(202)
  await vi.waitFor(async () => {
    const { items } = (await call({ url }, 'GET', '/v1/audit/events', { token })).body
    const told = (items as { event: { type: string; subject: { collateralId: string } } }[])
      .filter(({ event }) => event.type.startsWith('collateral.end'))
      .map(({ event }) => `${event.type} ${event.subject.collateralId}`)
    expect(told.toSorted()).toEqual([`collateral.ended ${ended}`, `collateral.ending ${ending}`])
  }, 15_000)
  const metrics = (await call({ url }, 'GET', '/metrics')).body
  expect(metrics).toContain('qflare_collateral_out_of_date{kind="crl"} 1')
  expect(metrics).toMatch(/qflare_collateral_ends_in_seconds\{kind="crl"\} 53\d\d/)
  service.kill('SIGTERM')
  expect(await service.ended()).toBe(0)
})
