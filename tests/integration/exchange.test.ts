import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { BUCKET_MS, GRACE_MS, SKEW_MS } from '../../protocol/exchange/bucket.ts'
import { acceptAnswer } from '../../protocol/exchange/initiate.ts'
import { exchangeAnswer } from '../../protocol/exchange/messages.ts'
import {
  confirm,
  enrollTestDevice,
  fetchCertificates,
  initiate,
  openExchange,
  refusal,
  sendExchange,
  stored,
  type TestDevice,
} from '../support/api.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
let device: TestDevice

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())
beforeEach(async () => {
  device = await enrollTestDevice(service)
})

test('an exchange leaves one PENDING session with key material, and its event', async () => {
  const initiated = await initiate(service, device)
  const { status, body, headers } = await sendExchange(service, initiated.wire)
  expect(status).toBe(201)
  expect(headers.get('location')).toBe(`/v1/sessions/${body.sessionId}`)
  acceptAnswer(crypto, initiated, exchangeAnswer.parse(body))
  const { sessions, events } = await stored(service, device.deviceId)
  expect(sessions).toEqual([{ id: body.sessionId, state: 'PENDING', has_keys: true }])
  expect(events).toEqual({ 'device.enrolled': 1, 'session.opened': 1 })
})

test('the same message again is replayed, and stores nothing', async () => {
  const { wire } = await initiate(service, device)
  expect((await sendExchange(service, wire)).status).toBe(201)
  const before = await stored(service, device.deviceId)
  expect(refusal(await sendExchange(service, wire))).toEqual({ status: 409, code: 'replayed' })
  expect(await stored(service, device.deviceId)).toEqual(before)
})

test('of 50 parallel copies of one message exactly one is taken', async () => {
  const { wire } = await initiate(service, device)
  const answers = await Promise.all(Array.from({ length: 50 }, () => sendExchange(service, wire)))
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
  const refused = answers.filter(({ status }) => status !== 201).map(refusal)
  expect(refused).toEqual(Array.from({ length: 49 }, () => ({ status: 409, code: 'replayed' })))
  const { sessions, events } = await stored(service, device.deviceId)
  expect(sessions).toHaveLength(1)
  expect(events['session.opened']).toBe(1)
})

test('a message that was replayed stays replayed after its session has ended', async () => {
  const initiated = await initiate(service, device)
  const { body } = await sendExchange(service, initiated.wire)
  const opened = acceptAnswer(crypto, initiated, exchangeAnswer.parse(body))
  expect((await confirm(service, device, { ...opened, deviceConfirmation: new Uint8Array(64) })).status).toBe(401)
  expect(refusal(await sendExchange(service, initiated.wire))).toEqual({ status: 409, code: 'replayed' })
})

test('a device whose answer was lost begins anew and gets a session', async () => {
  await sendExchange(service, (await initiate(service, device)).wire)
  service.time.now += 1
  const second = await openExchange(service, device)
  expect((await confirm(service, device, second)).status).toBe(200)
  const { sessions } = await stored(service, device.deviceId)
  expect(sessions.map(({ state, has_keys }) => [state, has_keys])).toEqual([
    ['TIMED_OUT', false],
    ['ACTIVE', true],
  ])
})

test('a third pending session evicts the oldest, which loses its keys', async () => {
  const opened = [
    await openExchange(service, device),
    await openExchange(service, device),
    await openExchange(service, device),
  ]
  const { sessions, events } = await stored(service, device.deviceId)
  const byId = Object.fromEntries(sessions.map(({ id, state, has_keys }) => [id, [state, has_keys]]))
  expect(opened.map(({ sessionId }) => byId[sessionId])).toEqual([
    ['TIMED_OUT', false],
    ['PENDING', true],
    ['PENDING', true],
  ])
  expect(events).toMatchObject({ 'session.opened': 3, 'session.timed_out': 1 })
})

test('20 exchanges of one device at once leave two pending sessions and an event for every change', async () => {
  const initiated = await Promise.all(Array.from({ length: 20 }, () => initiate(service, device)))
  const answers = await Promise.all(initiated.map(({ wire }) => sendExchange(service, wire)))
  const taken = answers.filter(({ status }) => status === 201).length
  expect(taken).toBeGreaterThan(0)
  expect(answers.filter(({ status }) => status !== 201).map(refusal)).toEqual(
    Array.from({ length: 20 - taken }, () => ({ status: 503, code: 'overloaded' })),
  )
  const { sessions, events } = await stored(service, device.deviceId)
  expect(sessions).toHaveLength(taken)
  expect(sessions.filter(({ state }) => state === 'PENDING')).toHaveLength(Math.min(2, taken))
  expect(events['session.opened']).toBe(taken)
  expect(events['session.timed_out'] ?? 0).toBe(Math.max(0, taken - 2))
})

test('a bucket is taken from the skew before its start until the grace after its end, and no millisecond longer', async () => {
  const shift = Math.floor(service.time.now / BUCKET_MS) * BUCKET_MS + 10 * BUCKET_MS
  const steps = [
    { at: -SKEW_MS - 1, isTaken: false },
    { at: -SKEW_MS, isTaken: true },
    { at: BUCKET_MS - 1, isTaken: true },
    { at: BUCKET_MS + GRACE_MS - 1, isTaken: true },
    { at: BUCKET_MS + GRACE_MS, isTaken: false },
  ]
  service.time.now = shift - BUCKET_MS
  await service.tick()
  const [, certificate] = await fetchCertificates(service)
  expect(certificate?.notBefore).toBe(shift)
  for (const { at, isTaken } of steps) {
    service.time.now = shift + at
    await service.tick()
    const { wire } = await initiate(service, device, certificate)
    const answer = await sendExchange(service, wire)
    if (isTaken) expect(answer.status, `at ${at}`).toBe(201)
    else {
      expect(refusal(answer), `at ${at}`).toEqual({ status: 409, code: 'bucket_out_of_window' })
      expect(answer.body.now).toBe(service.time.now)
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
  }
})

test('of the buckets b−2 to b+2 in the middle of b only b is taken, and the others store nothing', async () => {
  const [current] = await fetchCertificates(service)
  if (current === undefined) throw new Error('no certificate')
  service.time.now = current.notBefore + BUCKET_MS / 2
  const codes: unknown[] = []
  for (const offset of [-2, -1, 0, 1, 2]) {
    const { wire } = await initiate(service, device, current)
    const answer = await sendExchange(service, { ...wire, bucket: current.bucket + offset })
    codes.push(answer.status === 201 ? 201 : answer.body.code)
  }
  const refused = 'bucket_out_of_window'
  expect(codes).toEqual([refused, refused, 201, refused, refused])
  expect((await stored(service, device.deviceId)).sessions).toHaveLength(1)
})

test('a session of the next bucket holds a chain for every epoch until it expires', async () => {
  const [current, next] = await fetchCertificates(service)
  if (current === undefined || next === undefined) throw new Error('no certificates')
  service.time.now = next.notBefore - 1
  const { wire } = await initiate(service, device, next)
  const { status, body } = await sendExchange(service, wire)
  expect(status).toBe(201)
  const { rows } = await service.database.sql.query(
    'select bucket, last_epoch, length(chains) as bytes from session where id = $1',
    [body.sessionId],
  )
  const last = Math.floor(body.expiresAt / BUCKET_MS)
  expect(rows).toEqual([
    { bucket: String(next.bucket), last_epoch: String(last), bytes: 99 * (last - next.bucket + 1) },
  ])
})
