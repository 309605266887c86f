import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  CONFIRMATION_REPEAT_MS,
  PENDING_MS,
  SESSION_MS,
  SUPERSEDED_MS,
} from '../../protocol/exchange/session-states.ts'
import {
  call,
  confirm,
  enrollTestDevice,
  establish,
  openExchange,
  refusal,
  stored,
  type TestDevice,
} from '../support/api.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let device: TestDevice

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())
beforeEach(async () => {
  await service.tick()
  device = await enrollTestDevice(service)
})

const statesOf = async () => (await stored(service, device.deviceId)).sessions.map(({ state }) => state)

test('the right confirmation makes the session ACTIVE, with an access token', async () => {
  const opened = await openExchange(service, device)
  const { status, body } = await confirm(service, device, opened)
  expect(status).toBe(200)
  expect(body).toEqual({
    sessionId: opened.sessionId,
    status: 'ACTIVE',
    expiresAt: service.time.now + SESSION_MS,
    accessToken: expect.stringMatching(/^qs_/),
    accessTokenExpiresAt: service.time.now + 300_000,
  })
  expect(await stored(service, device.deviceId)).toMatchObject({
    sessions: [{ state: 'ACTIVE', has_keys: true }],
    events: { 'session.opened': 1, 'session.established': 1 },
  })
})

test('the same confirmation gives the same answer for 60 s, then session_state', async () => {
  const opened = await openExchange(service, device)
  const first = await confirm(service, device, opened)
  service.time.now += CONFIRMATION_REPEAT_MS - 1
  expect((await confirm(service, device, opened)).body).toEqual(first.body)
  service.time.now += 1
  expect(refusal(await confirm(service, device, opened))).toEqual({ status: 409, code: 'session_state' })
  expect((await stored(service, device.deviceId)).events['session.established']).toBe(1)
})

test('20 confirmations at once establish once and answer alike', async () => {
  const opened = await openExchange(service, device)
  const answers = await Promise.all(Array.from({ length: 20 }, () => confirm(service, device, opened)))
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200))
  expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
  expect((await stored(service, device.deviceId)).events['session.established']).toBe(1)
})

test('a wrong confirmation ends the session at once, and the right one comes too late', async () => {
  const opened = await openExchange(service, device)
  const wrong = {
    ...opened,
    deviceConfirmation: opened.deviceConfirmation.map((byte, i) => (i === 63 ? byte ^ 1 : byte)),
  }
  expect(refusal(await confirm(service, device, wrong))).toEqual({ status: 401, code: 'confirmation_refused' })
  expect(await stored(service, device.deviceId)).toMatchObject({
    sessions: [{ state: 'FAILED', has_keys: false }],
    events: { 'session.failed': 1 },
  })
  expect(refusal(await confirm(service, device, opened))).toEqual({ status: 409, code: 'session_state' })
})

test('a wrong confirmation of an ACTIVE session harms nothing', async () => {
  const opened = await openExchange(service, device)
  await confirm(service, device, opened)
  const wrong = { ...opened, deviceConfirmation: new Uint8Array(64) }
  expect(refusal(await confirm(service, device, wrong))).toEqual({ status: 409, code: 'session_state' })
  expect(await statesOf()).toEqual(['ACTIVE'])
})

test('a confirmation after the pending time is refused, and the session is TIMED_OUT', async () => {
  const opened = await openExchange(service, device)
  service.time.now += PENDING_MS
  expect(refusal(await confirm(service, device, opened))).toEqual({ status: 409, code: 'session_state' })
  expect(await stored(service, device.deviceId)).toMatchObject({
    sessions: [{ state: 'TIMED_OUT', has_keys: false }],
    events: { 'session.timed_out': 1 },
  })
})

test('a confirmation in the last millisecond of the pending time is taken', async () => {
  const opened = await openExchange(service, device)
  service.time.now += PENDING_MS - 1
  expect((await confirm(service, device, opened)).status).toBe(200)
})

test('a late confirmation does not supersede a newer session', async () => {
  const older = await openExchange(service, device)
  service.time.now += 1
  const newer = await openExchange(service, device)
  expect((await confirm(service, device, newer)).status).toBe(200)
  expect(refusal(await confirm(service, device, older))).toEqual({ status: 409, code: 'session_state' })
  expect(await statesOf()).toEqual(['TIMED_OUT', 'ACTIVE'])
})

test('a newer pending session survives the confirmation of an older one, and supersedes it', async () => {
  const older = await openExchange(service, device)
  service.time.now += 1
  const newer = await openExchange(service, device)
  expect((await confirm(service, device, older)).status).toBe(200)
  expect((await confirm(service, device, newer)).status).toBe(200)
  expect(await stored(service, device.deviceId)).toMatchObject({
    sessions: [
      { id: older.sessionId, state: 'SUPERSEDED', has_keys: true },
      { id: newer.sessionId, state: 'ACTIVE', has_keys: true },
    ],
    events: { 'session.established': 2, 'session.superseded': 1 },
  })
})

test('two confirmations of two sessions at once leave one ACTIVE session', async () => {
  const older = await openExchange(service, device)
  service.time.now += 1
  const newer = await openExchange(service, device)
  await Promise.all([confirm(service, device, older), confirm(service, device, newer)])
  const { sessions } = await stored(service, device.deviceId)
  expect(sessions.find(({ id }) => id === newer.sessionId)?.state).toBe('ACTIVE')
  expect(sessions.filter(({ state }) => state === 'ACTIVE')).toHaveLength(1)
})

test('a superseded session works for its grace, then it is CLOSED', async () => {
  const first = await establish(service, device)
  service.time.now += 1
  await establish(service, device)
  const look = () => call(service, 'GET', `/v1/sessions/${first.sessionId}`, { token: service.adminToken })
  const use = () => call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: first.accessToken })
  expect((await use()).status).toBe(200)
  expect((await look()).body.state).toBe('SUPERSEDED')
  service.time.now += SUPERSEDED_MS
  expect((await look()).body.state).toBe('CLOSED')
  expect(refusal(await use())).toEqual({ status: 401, code: 'unauthenticated' })
})

test('a device that is revoked in between cannot confirm, and nothing of its keys is left', async () => {
  const opened = await openExchange(service, device)
  const revoked = await call(service, 'POST', `/v1/devices/${device.deviceId}/revoke`, {
    token: service.adminToken,
    body: {},
  })
  expect(revoked.body).toMatchObject({ status: 'REVOKED', activeSessionId: null })
  expect(refusal(await confirm(service, device, opened))).toEqual({ status: 409, code: 'session_state' })
  expect(await stored(service, device.deviceId)).toMatchObject({
    sessions: [{ state: 'REVOKED', has_keys: false }],
    events: { 'session.revoked': 1, 'device.revoked': 1 },
  })
})

test('another device cannot confirm, even with the right bytes', async () => {
  const other = await enrollTestDevice(service)
  const opened = await openExchange(service, device)
  expect(refusal(await confirm(service, other, opened))).toEqual({ status: 404, code: 'not_found' })
  expect(await statesOf()).toEqual(['PENDING'])
})

test('an unknown session and an unknown device are the same 404', async () => {
  const opened = await openExchange(service, device)
  const nobody = { ...device, deviceId: '01a20218-ebc8-7df6-9039-16445e847b36' }
  const unknown = { ...opened, sessionId: '01a20217-2140-8992-8d31-b71c8df3b111' }
  expect(refusal(await confirm(service, nobody, opened))).toEqual({ status: 404, code: 'not_found' })
  expect(refusal(await confirm(service, device, unknown))).toEqual({ status: 404, code: 'not_found' })
})
