import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { call, enrollTestDevice, establish, type TestDevice } from '../support/api.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { eventsOf } from '../support/tenants.ts'

let service: TestService
let organizationId: string
let device: TestDevice

beforeAll(async () => {
  service = await startTestService()
  organizationId = (await service.database.sql.query('select id from organization')).rows[0].id
})
afterAll(() => service.close())
beforeEach(async () => {
  device = await enrollTestDevice(service)
})

const patch = (body: unknown, token = service.adminToken, id = device.deviceId) =>
  call(service, 'PATCH', `/v1/devices/${id}`, { token, body })
const show = async () =>
  (await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: service.adminToken })).body
const changes = async () =>
  (await eventsOf(service, organizationId, 'device.changed')).filter(
    ({ subject }) => subject.deviceId === device.deviceId,
  )

describe('an operator', () => {
  test('changes name, type, capabilities and metadata, each as a whole, and leaves the rest as it is', async () => {
    const first = {
      name: 'camera 7',
      type: 'edge.camera',
      capabilities: ['tpm-2.0', 'cuda'],
      metadata: { rack: 4, on: true },
    }
    const before = await show()
    const answer = await patch(first)
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ ...before, ...first, capabilities: ['cuda', 'tpm-2.0'] })
    expect(await show()).toEqual(answer.body)
    expect((await patch({ metadata: { rack: 5 } })).body).toEqual({ ...answer.body, metadata: { rack: 5 } })
    expect((await patch({ type: null, capabilities: [] })).body).toMatchObject({
      name: 'camera 7',
      type: null,
      capabilities: [],
    })
  })

  test('leaves an event that names what changed, and no value of the metadata', async () => {
    await patch({ name: 'camera 8', type: 'camera', capabilities: ['cuda'], metadata: { secret: 'do not log' } })
    await patch({ type: null })
    expect(await changes()).toMatchObject([
      {
        actor: { type: 'api_token', id: service.adminToken.slice(3, 39) },
        data: {
          members: ['name', 'type', 'capabilities', 'metadata'],
          name: 'camera 8',
          type: 'camera',
          capabilities: ['cuda'],
        },
      },
      { data: { members: ['type'], type: null } },
    ])
    expect(JSON.stringify(await changes())).not.toContain('do not log')
  })

  test('who asks for what is so already changes nothing and leaves no event', async () => {
    const wish = { name: 'same', capabilities: ['b', 'a'], metadata: { one: 1, two: 2 } }
    await patch(wish)
    const before = await databaseContents(service)
    const { metadata } = wish
    for (const again of [
      wish,
      {},
      { capabilities: ['a', 'b'] },
      { metadata: { two: 2, one: metadata.one } },
      { type: null },
    ]) {
      expect((await patch(again)).status).toBe(200)
    }
    expect(await databaseContents(service)).toEqual(before)
  })

  test('changes what is known of a device that is revoked, which stays revoked', async () => {
    await call(service, 'POST', `/v1/devices/${device.deviceId}/revoke`, { token: service.adminToken, body: {} })
    expect((await patch({ name: 'scrapped' })).body).toMatchObject({ name: 'scrapped', status: 'REVOKED' })
  })

  test.each([
    ['a status', { status: 'ACTIVE' }, 'status'],
    ['an id', { id: 'x' }, 'id'],
    ['a kind', { kind: 'coordinator' }, 'kind'],
    ['an empty name', { name: '' }, 'name'],
    ['a name of null', { name: null }, 'name'],
    ['a name with a control character', { name: 'a\u0000b' }, 'name'],
    ['a type in upper case', { type: 'Camera' }, 'type'],
    ['a type of 65 characters', { type: 'a'.repeat(65) }, 'type'],
    ['an empty type', { type: '' }, 'type'],
    ['a type with a line feed at its end', { type: 'a\n' }, 'type'],
    ['a capability twice', { capabilities: ['a', 'a'] }, 'capabilities'],
    ['an empty capability', { capabilities: [''] }, 'capabilities.0'],
    ['33 capabilities', { capabilities: Array.from({ length: 33 }, (_, i) => `c${i}`) }, 'capabilities'],
    ['capabilities of null', { capabilities: null }, 'capabilities'],
    ['metadata that nests', { metadata: { a: {} } }, 'metadata.a'],
    [
      'metadata of 33 members',
      { metadata: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`m${i}`, i])) },
      'metadata',
    ],
    ['one good and one unknown member', { name: 'x', colour: 'red' }, 'colour'],
  ])('is refused %s, and nothing is stored', async (_what, body, field) => {
    const before = await databaseContents(service)
    expectRefusal(await patch(body), 400, 'malformed', field)
    expect(await databaseContents(service)).toEqual(before)
  })

  test('whose two changes come at once loses neither, and the log has both', async () => {
    await Promise.all([patch({ name: 'by one' }), patch({ type: 'by-two' }), patch({ metadata: { by: 'three' } })])
    expect(await show()).toMatchObject({ name: 'by one', type: 'by-two', metadata: { by: 'three' } })
    expect(new Set((await changes()).flatMap(({ data }) => data.members))).toEqual(
      new Set(['name', 'type', 'metadata']),
    )
  })
})

describe('a device', () => {
  test('changes its own metadata, and nothing else of itself', async () => {
    const { accessToken } = await establish(service, device)
    expect((await patch({ metadata: { firmware: '1.2' } }, accessToken)).body.metadata).toEqual({ firmware: '1.2' })
    expect(await changes()).toMatchObject([
      { actor: { type: 'device', id: device.deviceId }, data: { members: ['metadata'] } },
    ])
    const before = await databaseContents(service)
    for (const wish of [
      { name: 'x' },
      { type: 'x' },
      { type: null },
      { capabilities: [] },
      { name: 'x', metadata: {} },
    ]) {
      expectRefusal(await patch(wish, accessToken), 403, 'forbidden')
    }
    // The event that it was refused is all that is new.
    const { audit_outbox: _events, ...after } = await databaseContents(service)
    expect(before).toMatchObject(after)
  })

  test('cannot change another one, nor tell whether there is one', async () => {
    const { accessToken } = await establish(service, device)
    const other = await enrollTestDevice(service)
    const before = await databaseContents(service)
    for (const wish of [{ metadata: {} }, { name: 'x' }]) {
      expectRefusal(await patch(wish, accessToken, other.deviceId), 404, 'not_found')
    }
    expect(await databaseContents(service)).toEqual(before)
  })

  test('that is suspended while it changes itself changes nothing afterwards', async () => {
    const { accessToken } = await establish(service, device)
    const suspension = call(service, 'POST', `/v1/devices/${device.deviceId}/suspend`, {
      token: service.adminToken,
      body: {},
    })
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => patch({ metadata: { i } }, accessToken)))
    await suspension
    for (const { status } of answers) expect([200, 401]).toContain(status)
    const events = await eventsOf(service, organizationId)
    const own = events.filter(({ subject }) => subject.deviceId === device.deviceId).map(({ type }) => type)
    expect(own.lastIndexOf('device.changed')).toBeLessThan(own.indexOf('device.suspended'))
    expectRefusal(await patch({ metadata: {} }, accessToken), 401, 'unauthenticated')
  })
})
