import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../../protocol/encoding.ts'
import { newId } from '../../runtime/ids.ts'
import {
  call,
  createToken,
  enrollTestDevice,
  establish,
  initiate,
  makeIdentity,
  sendExchange,
  signCompletion,
  startEnrollment,
  type TestDevice,
} from '../support/api.ts'
import { exchangeRefused, minuteOf, startTellingNode, theService, toldTo } from '../support/refusal-events.ts'
import { databaseContents } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeApiToken, makeTenant, type Tenant } from '../support/tenants.ts'

/** What is refused is counted, and told to the organization that it is about: once a minute, and not by the request itself. */

let service: TestService
let tenant: Tenant
let other: Tenant
beforeAll(async () => {
  service = await startTestService()
  tenant = await makeTenant(service, 'acme')
  other = await makeTenant(service, 'other')
})
afterAll(() => service.close())

/** What the tenant is told of what `work` does on a process of its own; `work` itself stores nothing. */
async function toldOf(work: (node: Tenant) => Promise<void>): Promise<unknown[]> {
  const before = await toldTo(tenant)
  const { node, tell } = await startTellingNode(tenant)
  const contents = await databaseContents(service)
  await work(node)
  expect(await databaseContents(service)).toEqual(contents)
  await tell()
  expect(await toldTo(other)).toEqual([])
  return (await toldTo(tenant)).slice(before.length)
}

const send = async (node: TestService, wire: Json, status: number) =>
  expect((await sendExchange(node, wire)).status).toBe(status)

describe('exchanges that are refused are told by device, by why', () => {
  let device: TestDevice
  let coordinator: TestDevice
  beforeAll(async () => {
    device = await enrollTestDevice(tenant)
    coordinator = await enrollTestDevice(tenant, { kind: 'coordinator' })
  })

  test('not signed by its key, sent again, out of the window, of a coordinator too', async () => {
    const { wire } = await initiate(tenant, device)
    await send(tenant, wire, 201)
    const forged = (await initiate(tenant, { ...device, ...makeIdentity() })).wire
    const events = await toldOf(async (node) => {
      for (let i = 0; i < 3; i++) await send(node, forged, 401)
      for (let i = 0; i < 2; i++) await send(node, wire, 409)
      const bucket = wire.bucket as number
      for (const offset of [2, -40, 7]) await send(node, { ...wire, bucket: bucket + offset }, 409)
      await send(node, { ...forged, deviceId: coordinator.deviceId }, 401)
    })
    const since = minuteOf(service)
    expect(events).toHaveLength(2)
    expect(events).toContainEqual(
      exchangeRefused(device.deviceId, since, { signature: 3, replayed: 2, window: 3, offsetBuckets: -40 }),
    )
    expect(events).toContainEqual(exchangeRefused(coordinator.deviceId, since, { signature: 1 }))
  })

  test('rightly signed by one that is suspended, quarantined or revoked, apart from what anybody could send', async () => {
    const operate = (id: string, step: string) =>
      call(tenant, 'POST', `/v1/devices/${id}/${step}`, { token: tenant.adminToken, body: {} })
    const bar = {
      SUSPENDED: (id: string) => operate(id, 'suspend'),
      QUARANTINED: (id: string) =>
        service.database.sql.query(`update principal set status = 'QUARANTINED' where id = $1`, [id]),
      REVOKED: (id: string) => operate(id, 'revoke'),
    }
    for (const [status, change] of Object.entries(bar)) {
      const { deviceId, ...identity } = await enrollTestDevice(tenant)
      const { wire } = await initiate(tenant, { deviceId, ...identity })
      const forged = (await initiate(tenant, { deviceId, ...makeIdentity() })).wire
      await change(deviceId)
      const events = await toldOf(async (node) => {
        for (const sent of [wire, wire, forged]) await send(node, sent, 401)
      })
      const counts = { inactive: 2, signature: 1 }
      expect(events, status).toEqual([exchangeRefused(deviceId, minuteOf(service), counts)])
    }
  })

  test('copies that come at once, to several processes, count as sent again', async () => {
    const { wire } = await initiate(tenant, device)
    const before = await toldTo(tenant)
    const nodes = [await startTellingNode(tenant), await startTellingNode(tenant)]
    const answers = await Promise.all(nodes.flatMap(({ node }) => [1, 2, 3].map(() => sendExchange(node, wire))))
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(5)
    for (const { tell } of nodes) await tell()
    const events = (await toldTo(tenant)).slice(before.length)
    expect(events.map(({ subject }) => subject)).toEqual(events.map(() => ({ deviceId: device.deviceId })))
    expect(events.reduce((sum, { data }) => sum + Number(data.replayed), 0)).toBe(5)
  })

  test('nothing of ids that nobody has, or that are no device’s', async () => {
    const { wire } = await initiate(tenant, device)
    const { id: tokenId } = await createToken(tenant)
    const events = await toldOf(async (node) => {
      for (const deviceId of [newId(), tokenId]) {
        await send(node, { ...wire, deviceId }, 401)
        await send(node, { ...wire, deviceId, bucket: 0 }, 409)
      }
    })
    expect(events).toEqual([])
  })
})

const told = (type: string, subject: object, data: object) => ({
  type,
  actor: theService,
  subject,
  data: { since: minuteOf(service), ...data },
})
const wrong = (credential: string) => `${credential.slice(0, -4)}${credential.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`

test('API tokens that are refused are told by token: guesses, and the right one after its end', async () => {
  const [open, revoked, expired] = [
    await makeApiToken(tenant, ['auditor']),
    await makeApiToken(tenant, ['auditor']),
    await makeApiToken(tenant, ['auditor'], 60),
  ]
  await call(tenant, 'DELETE', `/v1/api-tokens/${revoked.id}`, { token: tenant.adminToken })
  service.time.now += 60_000
  const { deviceId } = await enrollTestDevice(tenant)
  const guess = open.token.slice(open.token.indexOf('.'))
  const events = await toldOf(async (node) => {
    const ask = async (token: string) => expect((await call(node, 'GET', '/v1/devices', { token })).status).toBe(401)
    for (let i = 0; i < 3; i++) await ask(wrong(open.token))
    for (const token of [revoked.token, expired.token, expired.token, wrong(expired.token)]) await ask(token)
    for (const id of [newId(), deviceId, 'none']) await ask(`qf_${id}${guess}`)
  })
  expect(events).toHaveLength(3)
  for (const event of [
    told('api_token.refused', { apiTokenId: open.id }, { secret: 3, ended: 0 }),
    told('api_token.refused', { apiTokenId: revoked.id }, { secret: 0, ended: 1 }),
    told('api_token.refused', { apiTokenId: expired.id }, { secret: 1, ended: 2 }),
  ])
    expect(events).toContainEqual(event)
})

test('enrolment tokens that are refused are told by token: guesses, one that was used, one that has ended', async () => {
  const [open, used, revoked, expired] = [
    await createToken(tenant),
    await createToken(tenant),
    await createToken(tenant),
    await createToken(tenant, { ttlSeconds: 60 }),
  ]
  const started = await startEnrollment(tenant, used.credential)
  const completion = signCompletion(started, makeIdentity().identityKey)
  await call(tenant, 'POST', `/v1/enrollments/${used.id}/complete`, { body: completion })
  await call(tenant, 'DELETE', `/v1/enrollment-tokens/${revoked.id}`, { token: tenant.adminToken })
  service.time.now += 60_000
  const events = await toldOf(async (node) => {
    const ask = async (token: string) =>
      expect((await call(node, 'POST', '/v1/enrollments', { body: { token } })).status).toBe(401)
    for (let i = 0; i < 2; i++) await ask(wrong(open.credential))
    for (const { credential } of [used, used, revoked, expired]) await ask(credential)
    await ask(wrong(used.credential))
    await ask(open.credential.replace(open.id, newId()))
    await ask(open.credential.replace(open.id, tenant.organizationId))
  })
  expect(events).toHaveLength(4)
  for (const event of [
    told('enrollment_token.refused', { enrollmentTokenId: open.id }, { secret: 2, used: 0, ended: 0 }),
    told('enrollment_token.refused', { enrollmentTokenId: used.id }, { secret: 1, used: 2, ended: 0 }),
    told('enrollment_token.refused', { enrollmentTokenId: revoked.id }, { secret: 0, used: 0, ended: 1 }),
    told('enrollment_token.refused', { enrollmentTokenId: expired.id }, { secret: 0, used: 0, ended: 1 }),
  ])
    expect(events).toContainEqual(event)
})

describe('who asks for ids of elsewhere', () => {
  const route = 'GET /v1/devices/:id'
  const elsewhere = (actor: object, data: object) => ({ ...told('access.elsewhere', {}, data), actor })

  test('leaves an event for each caller and route in his own organization, and none in the other', async () => {
    const { id, token } = await makeApiToken(tenant, ['operator'])
    const device = await enrollTestDevice(tenant)
    const { accessToken } = await establish(tenant, device)
    const foreign = await enrollTestDevice(other)
    const foreignToken = await createToken(other)
    const events = await toldOf(async (node) => {
      const ask = async (caller: string, method: string, path: string) =>
        expect((await call(node, method, path, { token: caller, body: undefined })).status).toBe(404)
      for (let i = 0; i < 3; i++) await ask(token, 'GET', `/v1/devices/${foreign.deviceId}`)
      await ask(token, 'GET', `/v1/devices/${foreignToken.id}`)
      await ask(token, 'DELETE', `/v1/enrollment-tokens/${foreignToken.id}`)
      await ask(accessToken, 'GET', `/v1/devices/${foreign.deviceId}`)
    })
    const actor = { type: 'api_token', id }
    expect(events).toHaveLength(3)
    expect(events).toContainEqual(elsewhere(actor, { route, count: 4 }))
    expect(events).toContainEqual(elsewhere(actor, { route: 'DELETE /v1/enrollment-tokens/:id', count: 1 }))
    expect(events).toContainEqual(elsewhere({ type: 'device', id: device.deviceId }, { route, count: 1 }))
  })

  test('cannot see from the event whether the id is another organization’s or nobody’s', async () => {
    const foreign = await enrollTestDevice(other)
    const told = []
    for (const asked of [foreign.deviceId, newId()]) {
      const [event] = await toldOf(async (node) => {
        await call(node, 'GET', `/v1/devices/${asked}`, { token: tenant.adminToken })
      })
      told.push(event)
    }
    expect(told[0]).toEqual(told[1])
    expect(told[0]).toMatchObject({ type: 'access.elsewhere', data: { route, count: 1 } })
  })

  test('leaves none for ids of his own organization, for what is no id, and without credentials', async () => {
    const { id: tokenId } = await createToken(tenant)
    const foreign = await enrollTestDevice(other)
    const events = await toldOf(async (node) => {
      const token = tenant.adminToken
      for (const id of [tokenId, 'none', foreign.deviceId.toUpperCase()]) {
        expect((await call(node, 'GET', `/v1/devices/${id}`, { token })).status).toBe(404)
      }
      expect((await call(node, 'GET', `/v1/federations/${newId()}`, { token })).status).toBe(404)
      expect((await call(node, 'GET', `/v1/devices/${foreign.deviceId}`)).status).toBe(401)
    })
    expect(events).toEqual([])
  })
})
