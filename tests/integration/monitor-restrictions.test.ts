import { expect, test } from 'vitest'
import { SLOWED_PER_MINUTE } from '../../server/rate-limits.ts'
import { call, establish, initiate, sendExchange } from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { refusedAccess, useMonitor } from '../support/monitor.ts'
import { expectRefusal } from '../support/refusals.ts'
import { askKeys, enterService, makeFederation, openAnswer, openRound, type TestParty } from '../support/rounds.ts'
import { eventsOf } from '../support/tenants.ts'

/** Responses of the monitor that leave a device in service: it is slowed, or has to attest before it gets a key. */

const monitor = useMonitor()
const HOUR_MS = 3_600_000

/** By an incident of this device, with this response. */
async function respond({ deviceId }: TestParty, response: string, settings: object = {}): Promise<void> {
  await monitor.sql('delete from monitor_settings')
  await monitor.sql(`update incident set status = 'RESOLVED', resolved_at = now()`)
  await monitor.configure({ ...settings, rules: { 'access-refused': { response } } })
  await monitor.see(() => refusedAccess(monitor.organizationId, deviceId), 5)
}
const show = async ({ deviceId }: TestParty) =>
  (await call(monitor.service, 'GET', `/v1/devices/${deviceId}`, { token: monitor.service.adminToken })).body
const lift = ({ deviceId }: TestParty, token = monitor.service.adminToken) =>
  call(monitor.service, 'POST', `/v1/devices/${deviceId}/lift-restrictions`, { token, body: {} })
const readOwn = ({ deviceId, accessToken: token }: TestParty) =>
  call(monitor.service, 'GET', `/v1/devices/${deviceId}`, { token })
const told = async (type: string, { deviceId }: TestParty) =>
  (await eventsOf(monitor.service, monitor.organizationId, type)).filter(({ subject }) => subject.deviceId === deviceId)

test('a device that is slowed may ask for little, by its token and by exchanges, and no other device for less', async () => {
  const [device, other] = [await enterService(monitor.service), await enterService(monitor.service)]
  const until = monitor.service.time.now + 60 * 60_000
  await respond(device, 'slow')
  expect(await show(device)).toMatchObject({ status: 'ACTIVE', slowedUntil: until, attestationRequiredSince: null })
  expect(await told('device.slowed', device)).toMatchObject([{ actor: { type: 'service' }, data: { until } }])
  expect(await told('incident.responded', device)).toMatchObject([{ data: { response: 'slow', sessions: 0 } }])
  await establish(monitor.service, device)
  for (let asked = 1; asked < SLOWED_PER_MINUTE; asked++) expect((await readOwn(device)).status).toBe(200)
  const refused = await readOwn(device)
  expectRefusal(refused, 429, 'rate_limited')
  expect(refused.headers.get('ratelimit-limit')).toBe(String(SLOWED_PER_MINUTE))
  const { wire } = await initiate(monitor.service, device)
  expectRefusal(await sendExchange(monitor.service, wire), 429, 'rate_limited')
  for (let asked = 0; asked < 2 * SLOWED_PER_MINUTE; asked++) expect((await readOwn(other)).status).toBe(200)
})

test('it is slowed for as long as the settings say, no shorter for a second incident, and then by itself no more', async () => {
  const device = await enterService(monitor.service)
  await respond(device, 'slow', { slowMinutes: 120 })
  const { slowedUntil } = await show(device)
  expect(slowedUntil).toBe(monitor.service.time.now + 2 * HOUR_MS)
  await respond(device, 'slow', { slowMinutes: 1 })
  expect((await show(device)).slowedUntil).toBe(slowedUntil)
  expect((await told('device.slowed', device)).map(({ data }) => data)).toEqual([
    { until: slowedUntil },
    { until: slowedUntil },
  ])
  monitor.service.time.now = slowedUntil
  await monitor.service.tick()
  const again = { ...device, ...(await establish(monitor.service, device)) }
  for (let asked = 0; asked < 2 * SLOWED_PER_MINUTE; asked++) expect((await readOwn(again)).status).toBe(200)
  expect((await lift(device)).body.slowedUntil).toBe(slowedUntil)
  expect(await told('device.restrictions_lifted', device)).toEqual([])
})

test('a device that has to attest gets no key of any round until it does, and the others theirs', async () => {
  const [device, other] = [await enterService(monitor.service), await enterService(monitor.service)]
  const coordinator = await enterService(monitor.service, 'coordinator')
  const federation = await makeFederation(monitor.service, coordinator, [device, other])
  const round = await openRound(monitor.service, coordinator, federation)
  const given = async () =>
    openAnswer(coordinator, federation, round, await askKeys(monitor.service, coordinator, round))
  const since = monitor.service.time.now
  await respond(device, 'require_attestation')
  expect(await show(device)).toMatchObject({ status: 'ACTIVE', attestationRequiredSince: since, slowedUntil: null })
  expect(await told('device.attestation_required', device)).toHaveLength(1)
  // A new session is no evidence.
  const again = { ...device, ...(await establish(monitor.service, device)) }
  expect(await given()).toMatchObject({
    keys: [{ deviceId: other.deviceId }],
    refused: { [device.deviceId]: 'attestation_required' },
  })
  expect((await attest(monitor.service, again)).status).toBe(200)
  expect((await show(device)).attestationRequiredSince).toBeNull()
  expect((await given()).keys).toHaveLength(2)
})

test('a coordinator that has to attest is given no keys until it does', async () => {
  const coordinator = await enterService(monitor.service, 'coordinator')
  const federation = await makeFederation(monitor.service, coordinator, [await enterService(monitor.service)])
  const round = await openRound(monitor.service, coordinator, federation)
  await respond(coordinator, 'require_attestation')
  expectRefusal(await askKeys(monitor.service, coordinator, round), 403, 'attestation_required')
  await attest(monitor.service, coordinator)
  expect((await askKeys(monitor.service, coordinator, round)).status).toBe(200)
})

test('an operator ends both, with one event, and repeating it changes nothing', async () => {
  const device = await enterService(monitor.service)
  await respond(device, 'slow')
  await respond(device, 'require_attestation')
  const unrestricted = { status: 'ACTIVE', slowedUntil: null, attestationRequiredSince: null }
  for (let times = 0; times < 2; times++) expect((await lift(device)).body).toMatchObject(unrestricted)
  const events = await told('device.restrictions_lifted', device)
  expect(events).toMatchObject([
    { actor: { type: 'api_token' }, data: { restrictions: ['slow', 'require_attestation'] } },
  ])
  for (let asked = 0; asked < 2 * SLOWED_PER_MINUTE; asked++) expect((await readOwn(device)).status).toBe(200)
  expectRefusal(await lift(device, device.accessToken), 403, 'forbidden')
})

test('neither is done in a dry run, nor to more devices than may be responded to', async () => {
  const [first, second] = [await enterService(monitor.service), await enterService(monitor.service)]
  await respond(first, 'slow', { dryRun: true })
  expect(await show(first)).toMatchObject({ slowedUntil: null })
  await respond(first, 'require_attestation', { responsesPerHour: 1 })
  await respond(second, 'slow', { responsesPerHour: 1 })
  expect(await show(first)).toMatchObject({ attestationRequiredSince: expect.any(Number) })
  expect(await show(second)).toMatchObject({ slowedUntil: null })
})
