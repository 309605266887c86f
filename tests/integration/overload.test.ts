import { afterAll, beforeAll, expect, test } from 'vitest'
import { acceptAnswer } from '../../protocol/exchange/initiate.ts'
import { exchangeAnswer } from '../../protocol/exchange/messages.ts'
import { type Answer, call, confirm, enrollTestDevice, initiate, sendExchange, stored } from '../support/api.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

/** server/compose.ts works on 16 exchanges at once; one more may wait here. */
const TAKEN = 17
const SENT = 24

let service: TestService

beforeAll(async () => {
  service = await startTestService({ exchangeQueueLength: 1, maxConnections: SENT + 6 })
})
afterAll(() => service.close())

async function eventually<T>(read: () => T | Promise<T>, isReached: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + 20_000
  for (;;) {
    const value = await read()
    if (isReached(value) || Date.now() > deadline) return value
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('more exchanges than can wait are refused at once, the others are served, and nothing of the refused is stored', async () => {
  const devices = []
  for (let i = 0; i < SENT; i++) devices.push(await enrollTestDevice(service))
  const initiated = await Promise.all(devices.map((device) => initiate(service, device)))
  const before = await databaseContents(service)

  // Whoever may not insert into this table yet is an exchange under way.
  const { sql } = service.database
  await sql.query('begin; lock table session in share mode')
  const answered: (Answer | undefined)[] = devices.map(() => undefined)
  const all = initiated.map(async ({ wire }, index) => (answered[index] = await sendExchange(service, wire)))
  const refusedCount = () => answered.filter((answer) => answer !== undefined).length
  expect(await eventually(refusedCount, (count) => count >= SENT - TAKEN)).toBe(SENT - TAKEN)
  for (const answer of answered) if (answer !== undefined) expectRefusal(answer, 503, 'overloaded')

  expect((await call(service, 'GET', '/metrics')).body).toMatch(/^qflare_crypto_queue_depth 1$/m)
  expect((await call(service, 'GET', '/v1/devices?limit=1', { token: service.adminToken })).status).toBe(200)
  expect((await call(service, 'GET', '/live')).status).toBe(200)
  await sql.query('rollback')
  await Promise.all(all)

  const taken = answered.map((answer) => answer?.status === 201)
  expect(taken.filter(Boolean)).toHaveLength(TAKEN)
  for (const [index, device] of devices.entries()) {
    const { sessions, events } = await stored(service, device.deviceId)
    expect(sessions).toHaveLength(taken[index] ? 1 : 0)
    expect(events).toEqual({ 'device.enrolled': 1, ...(taken[index] ? { 'session.opened': 1 } : {}) })
  }
  const after = await databaseContents(service)
  const changed = Object.keys(after).filter((table) => after[table] !== before[table])
  expect(changed.toSorted()).toEqual(['audit_outbox', 'principal', 'session'])

  for (const [index, device] of devices.entries()) {
    const own = initiated[index] as (typeof initiated)[number]
    const answer = taken[index] ? answered[index] : await sendExchange(service, own.wire)
    expect(answer?.status, 'the message that was refused is still good').toBe(201)
    const opened = acceptAnswer(crypto, own, exchangeAnswer.parse(answer?.body))
    expect((await confirm(service, device, opened)).status).toBe(200)
  }
  expect((await call(service, 'GET', '/metrics')).body).toMatch(/^qflare_crypto_queue_depth 0$/m)
})
