import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { call, enrollTestDevice, type TestDevice } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { listen } from '../support/revocation-listener.ts'
import { enterService, makeFederation, type TestFederation, type TestParty } from '../support/rounds.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeApiToken, makeTenant } from '../support/tenants.ts'

let service: TestService
let coordinator: TestParty
let federation: TestFederation
let device: TestDevice

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())
beforeEach(async () => {
  coordinator = await enterService(service, 'coordinator')
  device = await enrollTestDevice(service)
  federation = await makeFederation(service, coordinator, [device])
})

const step = (action: string, { deviceId }: { deviceId: string }, by = service) =>
  call(by, 'POST', `/v1/devices/${deviceId}/${action}`, { token: by.adminToken, body: {} })
const sql = (text: string, values: unknown[] = []) => service.database.sql.query(text, values)
async function hear(token: string, options: Parameters<typeof listen>[2] = {}, at: { url: string } = service) {
  const listener = await listen(at, token, options)
  onTestFinished(() => listener.close())
  return listener
}

describe('whoever listens', () => {
  test('is told first who may not take part, then every change, in order and once', async () => {
    const [revoked, suspended] = [await enrollTestDevice(service), await enrollTestDevice(service)]
    for (const { deviceId } of [revoked, suspended]) {
      const token = coordinator.accessToken
      await call(service, 'PUT', `${federation.path}/members/${deviceId}`, { token })
    }
    await step('revoke', revoked)
    await step('suspend', suspended)
    const listener = await hear(coordinator.accessToken)
    const [snapshot] = await listener.until('snapshot')
    const barred = [
      { deviceId: revoked.deviceId, status: 'REVOKED' },
      { deviceId: suspended.deviceId, status: 'SUSPENDED' },
    ]
    expect(snapshot?.data).toEqual({
      devices: barred.toSorted((a, b) => (a.deviceId < b.deviceId ? -1 : 1)),
      isLast: true,
    })
    await step('resume', suspended)
    await step('suspend', device)
    await step('suspend', device)
    await step('resume', device)
    await sql(`update principal set status = 'QUARANTINED' where id = $1`, [device.deviceId])
    await step('clear-quarantine', device)
    await step('revoke', device)
    const changes = await listener.until('change', 5)
    expect(listener.changes()).toEqual([
      [suspended.deviceId, 'ACTIVE'],
      [device.deviceId, 'SUSPENDED'],
      [device.deviceId, 'ACTIVE'],
      [device.deviceId, 'ACTIVE'],
      [device.deviceId, 'REVOKED'],
    ])
    const first = Number(snapshot?.id)
    expect(changes.map(({ id }) => Number(id))).toEqual([1, 2, 3, 4, 5].map((more) => first + more))
    expect(changes[0]?.data.changedAt).toBe(service.time.now)
  })

  test('hears of the members of its own federations, and of nobody else; an operator of everybody', async () => {
    const other = await enterService(service, 'coordinator')
    const theirs = await enrollTestDevice(service)
    await makeFederation(service, other, [theirs])
    const maker = await makeApiToken(service, ['coordinator'])
    const made = await call(service, 'POST', '/v1/federations', { token: maker.token, body: { name: newId() } })
    const alone = await enrollTestDevice(service)
    const path = `/v1/federations/${made.body.id}/members/${alone.deviceId}`
    expect((await call(service, 'PUT', path, { token: maker.token })).status).toBe(204)
    const tenant = await makeTenant(service, newId())
    const foreign = await enrollTestDevice(tenant)
    const operator = await makeApiToken(service, ['operator'])

    const [own, others, makers, operators, strangers] = await Promise.all(
      [coordinator.accessToken, other.accessToken, maker.token, operator.token, tenant.adminToken].map((token) =>
        hear(token),
      ),
    )
    for (const listener of [own, others, makers, operators, strangers]) await listener?.until('snapshot')
    for (const each of [theirs, device, alone]) await step('suspend', each)
    await step('suspend', foreign, tenant)
    await operators?.until('change', 3)
    await strangers?.until('change')
    for (const listener of [own, others, makers]) await listener?.until('change')
    expect(own?.changes()).toEqual([[device.deviceId, 'SUSPENDED']])
    expect(others?.changes()).toEqual([[theirs.deviceId, 'SUSPENDED']])
    expect(makers?.changes()).toEqual([[alone.deviceId, 'SUSPENDED']])
    expect(strangers?.changes()).toEqual([[foreign.deviceId, 'SUSPENDED']])
    expect(operators?.changes()).toEqual([theirs, device, alone].map(({ deviceId }) => [deviceId, 'SUSPENDED']))
  })

  test('hears what another process is told', async () => {
    const node = await service.startNode()
    const listener = await hear(coordinator.accessToken, {}, node)
    await listener.until('snapshot')
    await step('suspend', device)
    await listener.until('change')
    expect(listener.changes()).toEqual([[device.deviceId, 'SUSPENDED']])
  })

  test('goes on behind the last id that it heard, without a gap and without hearing anything twice', async () => {
    const before = await hear(coordinator.accessToken)
    await step('suspend', device)
    const [heard] = await before.until('change')
    await before.close()
    await step('resume', device)
    await step('suspend', device)
    const ways = [{ query: `?after=${heard?.id}` }, { headers: { 'last-event-id': String(heard?.id) } }]
    for (const way of ways) {
      const node = await service.startNode()
      const listener = await hear(coordinator.accessToken, way, node)
      await listener.until('change', 2)
      expect(listener.heard.map(({ name }) => name)).toEqual(['change', 'change'])
      expect(listener.changes().map(([, status]) => status)).toEqual(['ACTIVE', 'SUSPENDED'])
    }
  })

  test('begins anew when what it missed is not kept any more, or was never said', async () => {
    await step('suspend', device)
    await step('resume', device)
    await step('suspend', device)
    await sql(
      'delete from revocation where sequence = (select max(sequence) - 1 from revocation r where r.principal_id = $1)',
      [device.deviceId],
    )
    const { rows } = await sql('select max(sequence) as last from revocation')
    const last = Number(rows[0].last)
    await sql('delete from revocation where sequence < $1', [last - 1])
    for (const after of [last - 2, last + 5]) {
      const listener = await hear(coordinator.accessToken, { query: `?after=${after}` })
      const [snapshot] = await listener.until('snapshot')
      expect(snapshot).toMatchObject({ id: String(last), data: { devices: [{ deviceId: device.deviceId }] } })
    }
  })

  test('hears of a member that was barred before it was one, and of a federation that it is assigned to', async () => {
    const listener = await hear(coordinator.accessToken)
    await listener.until('snapshot')
    const late = await enrollTestDevice(service)
    await step('suspend', late)
    const token = coordinator.accessToken
    await call(service, 'PUT', `${federation.path}/members/${late.deviceId}`, { token })
    await listener.until('change')
    // Twice, where it was one already when the suspension was looked up.
    expect(new Set(listener.changes().map(String))).toEqual(new Set([`${late.deviceId},SUSPENDED`]))

    const newcomer = await enterService(service, 'coordinator')
    const second = await hear(newcomer.accessToken)
    expect((await second.until('snapshot'))[0]?.data.devices).toEqual([])
    const path = `${federation.path}/coordinators/${newcomer.deviceId}`
    expect((await call(service, 'PUT', path, { token: service.adminToken })).status).toBe(204)
    await second.until('change')
    expect(second.changes()).toEqual([[late.deviceId, 'SUSPENDED']])
  })
})

describe('a stream ends', () => {
  test('with the session of its coordinator', async () => {
    const listener = await hear(coordinator.accessToken)
    await listener.until('snapshot')
    await step('suspend', coordinator)
    expect((await listener.until('end')).map(({ data }) => data)).toEqual([{ reason: 'token_ended' }])
    expect(await listener.ended).toBe('ended')
  })

  test('with its API token, and with its access token when that expires', async () => {
    const { id, token } = await makeApiToken(service, ['operator'])
    const [byToken, inSession] = [await hear(token), await hear(coordinator.accessToken)]
    await call(service, 'DELETE', `/v1/api-tokens/${id}`, { token: service.adminToken })
    expect((await byToken.until('end')).map(({ data }) => data)).toEqual([{ reason: 'token_ended' }])
    expect(inSession.heard.map(({ name }) => name)).toEqual(['snapshot'])
    service.time.now += 300_000
    expect((await inSession.until('end')).map(({ data }) => data)).toEqual([{ reason: 'token_ended' }])
    await service.tick()
  })

  test('at the end of its API token, not before, and without a request in between', async () => {
    const { token, expiresAt } = await makeApiToken(service, ['operator'], 60)
    const { now } = service.time
    const listener = await hear(token)
    await listener.until('snapshot')
    service.time.now = (expiresAt as number) - 1
    const other = await hear(token)
    await other.until('snapshot')
    expect(listener.heard.map(({ name }) => name)).toEqual(['snapshot'])
    service.time.now = expiresAt as number
    for (const one of [listener, other]) {
      expect((await one.until('end')).map(({ data }) => data)).toEqual([{ reason: 'token_ended' }])
    }
    service.time.now = now
  })

  test('with its process, which does not wait for who listens', async () => {
    const node = await service.startNode()
    const listener = await hear(coordinator.accessToken, {}, node)
    await listener.until('snapshot')
    await node.close()
    expect(listener.heard.at(-1)).toMatchObject({ name: 'end', data: { reason: 'stopping' } })
    // Whoever had to be waited for would be cut off, and hear nothing.
    expect(await listener.ended).toBe('ended')
  })
})

test('a hundred hear the same at once, and those beyond the bound are turned away until one leaves', async () => {
  const tokens = []
  for (let made = 0; made < 17; made++) tokens.push((await makeApiToken(service, ['operator'])).token)
  const [token = '', ...others] = tokens
  const listeners = await Promise.all(Array.from({ length: 16 }, () => hear(token)))
  // One caller takes nobody else's place.
  expectRefusal(await call(service, 'GET', '/v1/revocations', { token }), 503, 'overloaded')
  for (const other of others.slice(0, 15)) {
    listeners.push(...(await Promise.all(Array.from({ length: 16 }, () => hear(other)))))
  }
  expect(listeners).toHaveLength(256)
  expectRefusal(await call(service, 'GET', '/v1/revocations', { token: others[15] as string }), 503, 'overloaded')
  const tenant = await makeTenant(service, newId())
  await (await hear(tenant.adminToken)).until('snapshot')
  await step('suspend', device)
  await Promise.all(listeners.map((listener) => listener.until('change')))
  for (const listener of listeners) expect(listener.changes()).toEqual([[device.deviceId, 'SUSPENDED']])
  await listeners[0]?.close()
  await expect.poll(async () => (await call(service, 'GET', '/v1/revocations', { token })).status).toBe(200)
})

test('what is no id is malformed', async () => {
  const token = service.adminToken
  expectRefusal(await call(service, 'GET', '/v1/revocations?after=x', { token }), 400, 'malformed', 'after')
  const headers = { 'last-event-id': '-1' }
  expectRefusal(await call(service, 'GET', '/v1/revocations', { token, headers }), 400, 'malformed')
})
