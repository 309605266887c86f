import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  call,
  confirm,
  enrollTestDevice,
  establish,
  initiate,
  openExchange,
  refusal,
  sendExchange,
  stored,
  type TestDevice,
} from '../support/api.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let device: TestDevice

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

const step = (action: 'suspend' | 'resume' | 'revoke', id = device.deviceId) =>
  call(service, 'POST', `/v1/devices/${id}/${action}`, { token: service.adminToken, body: {} })
const see = async (token: string) => (await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token })).status
const setStatus = (status: string) =>
  service.database.sql.query('update principal set status = $2 where id = $1', [device.deviceId, status])

describe('a device that is suspended', () => {
  beforeAll(async () => {
    device = await enrollTestDevice(service)
  })

  test('is refused everywhere at once, with its sessions, which lose their keys', async () => {
    const { accessToken } = await establish(service, device)
    const pending = await openExchange(service, device)
    const next = await initiate(service, device)
    expect(await see(accessToken)).toBe(200)
    const { status, body } = await step('suspend')
    expect({ status, body }).toMatchObject({ status: 200, body: { status: 'SUSPENDED', activeSessionId: null } })
    expect(await see(accessToken)).toBe(401)
    expect(refusal(await sendExchange(service, next.wire))).toEqual({ status: 401, code: 'exchange_refused' })
    expect(refusal(await confirm(service, device, pending))).toEqual({ status: 409, code: 'session_state' })
    const { sessions, events } = await stored(service, device.deviceId)
    expect(sessions.map(({ state, has_keys }) => [state, has_keys])).toEqual([
      ['REVOKED', false],
      ['REVOKED', false],
    ])
    expect(events).toMatchObject({ 'device.suspended': 1, 'session.revoked': 2 })
  })

  test('leaves a session that time had ended what it was, though nobody had written that down', async () => {
    const other = await enrollTestDevice(service)
    await openExchange(service, other)
    service.time.now += 60_000
    await step('suspend', other.deviceId)
    const { sessions, events } = await stored(service, other.deviceId)
    expect(sessions).toMatchObject([{ state: 'TIMED_OUT', has_keys: false }])
    expect(events).not.toHaveProperty('session.revoked')
    expect(events).toMatchObject({ 'session.timed_out': 1, 'device.suspended': 1 })
  })

  test('stays as it is when it is suspended again, without a second event', async () => {
    const before = await databaseContents(service)
    const again = await Promise.all(Array.from({ length: 4 }, () => step('suspend')))
    expect(again.map(({ status, body }) => [status, body.status])).toEqual(again.map(() => [200, 'SUSPENDED']))
    expect(await databaseContents(service)).toEqual(before)
  })

  test('exchanges again once it is resumed; what it held before stays void', async () => {
    const { sessions } = await stored(service, device.deviceId)
    expect((await step('resume')).body).toMatchObject({ status: 'ACTIVE', activeSessionId: null })
    const before = await databaseContents(service)
    expect((await step('resume')).body.status).toBe('ACTIVE')
    expect(await databaseContents(service)).toEqual(before)
    const { accessToken } = await establish(service, device)
    expect(await see(accessToken)).toBe(200)
    const now = await stored(service, device.deviceId)
    expect(now.sessions).toEqual(expect.arrayContaining(sessions))
    expect(now.sessions).toHaveLength(sessions.length + 1)
    expect(now.events['device.resumed']).toBe(1)
  })
})

describe('a suspension', () => {
  test('between the opening of an exchange and its confirmation makes the confirmation refused, whoever is faster', async () => {
    for (let round = 0; round < 6; round++) {
      device = await enrollTestDevice(service)
      const opened = await openExchange(service, device)
      const [suspended, confirmed] = await Promise.all([step('suspend'), confirm(service, device, opened)])
      expect(suspended.status).toBe(200)
      expect([200, 409]).toContain(confirmed.status)
      if (confirmed.status === 200) expect(await see(confirmed.body.accessToken)).toBe(401)
      const { sessions } = await stored(service, device.deviceId)
      expect(sessions).toMatchObject([{ state: 'REVOKED', has_keys: false }])
      expect(refusal(await confirm(service, device, opened))).toEqual({ status: 409, code: 'session_state' })
    }
  })

  test('while the device opens exchanges leaves none of them open', async () => {
    device = await enrollTestDevice(service)
    const wires = await Promise.all(Array.from({ length: 6 }, () => initiate(service, device)))
    const [suspended, ...answers] = await Promise.all([
      step('suspend'),
      ...wires.map(({ wire }) => sendExchange(service, wire)),
    ])
    expect(suspended?.status).toBe(200)
    for (const { status } of answers) expect([201, 401, 503]).toContain(status)
    const { sessions } = await stored(service, device.deviceId)
    expect(sessions.filter(({ has_keys }) => has_keys)).toEqual([])
    const { rows } = await service.database.sql.query(
      'select status, active_session_id, pending_session_ids from principal where id = $1',
      [device.deviceId],
    )
    expect(rows).toEqual([{ status: 'SUSPENDED', active_session_id: null, pending_session_ids: [] }])
  })

  test('and a resumption at once end in one of the two, with an event for each that happened', async () => {
    device = await enrollTestDevice(service)
    await Promise.all([step('suspend'), step('resume'), step('suspend'), step('resume')])
    const { body } = await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: service.adminToken })
    const { events } = await stored(service, device.deviceId)
    const [suspended = 0, resumed = 0] = [events['device.suspended'], events['device.resumed']]
    expect(suspended - resumed).toBe(body.status === 'SUSPENDED' ? 1 : 0)
    expect(suspended).toBeGreaterThan(0)
  })
})

test('of a device that is revoked neither suspension nor resumption is left', async () => {
  device = await enrollTestDevice(service)
  await step('suspend')
  expect((await step('revoke')).body.status).toBe('REVOKED')
  const before = await databaseContents(service)
  expectRefusal(await step('suspend'), 409, 'session_state')
  expectRefusal(await step('resume'), 409, 'session_state')
  expect((await step('revoke')).body.status).toBe('REVOKED')
  expect(await databaseContents(service)).toEqual(before)
})

test.each(['QUARANTINED', 'PENDING'])(
  'a device that is %s does not become ACTIVE by a suspension and a resumption',
  async (status) => {
    device = await enrollTestDevice(service)
    await setStatus(status)
    const before = await databaseContents(service)
    expectRefusal(await step('suspend'), 409, 'session_state')
    expectRefusal(await step('resume'), 409, 'session_state')
    expect(await databaseContents(service)).toEqual(before)
    expect((await step('revoke')).body.status).toBe('REVOKED')
  },
)

test('a device is seen when it opens an exchange and when it confirms one', async () => {
  device = await enrollTestDevice(service)
  const lastSeenAt = async () =>
    (await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: service.adminToken })).body.lastSeenAt
  expect(await lastSeenAt()).toBeNull()
  const opened = await openExchange(service, device)
  expect(await lastSeenAt()).toBe(service.time.now)
  service.time.now += 1000
  await confirm(service, device, opened)
  expect(await lastSeenAt()).toBe(service.time.now)
})
