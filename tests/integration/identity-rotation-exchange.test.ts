import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import {
  call,
  enrollTestDevice,
  establish,
  initiate,
  makeIdentity,
  refusal,
  sendExchange,
  stored,
} from '../support/api.ts'
import { completeRotation, signRotation, startRotation } from '../support/identity-rotation.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** An exchange that was verified under the old key is stored after the rotation: what it read is no longer so. */

let service: TestService
let betweenReadAndWrite: (() => Promise<void>) | undefined

beforeAll(async () => {
  const wrapDatabase = (database: Database): Database => ({
    ...database,
    async sendTransaction(scope, statements) {
      const once = betweenReadAndWrite
      if (once !== undefined && statements.some(({ name }) => name === 'open_exchange')) {
        betweenReadAndWrite = undefined
        await once()
      }
      return database.sendTransaction(scope, statements)
    },
  })
  service = await startTestService({ wrapDatabase })
})
afterAll(() => service.close())

test.each([
  ['with a session that ends with the key', false],
  ['without a session: nothing else of the device changes', true],
])('an exchange under way under the old key makes no session once the key is replaced, %s', async (_what, isEnded) => {
  const device = await enrollTestDevice(service)
  const { sessionId, accessToken } = await establish(service, device)
  const started = await startRotation(service, device, accessToken)
  if (isEnded) await call(service, 'DELETE', `/v1/sessions/${sessionId}`, { token: service.adminToken })
  const next = makeIdentity()
  const { wire } = await initiate(service, device)
  betweenReadAndWrite = async () => {
    const body = signRotation(device, started, next.identityKey)
    const { status } = await completeRotation(service, device.deviceId, started.challengeId, body)
    expect(status).toBe(200)
  }
  expect(refusal(await sendExchange(service, wire))).toEqual({ status: 401, code: 'exchange_refused' })
  const { sessions } = await stored(service, device.deviceId)
  expect(sessions.filter(({ has_keys }) => has_keys)).toEqual([])
  await establish(service, { deviceId: device.deviceId, ...next })
})

test('rotations and exchanges at once leave no session of a key that was replaced', async () => {
  for (let round = 0; round < 4; round++) {
    const device = await enrollTestDevice(service)
    const started = await startRotation(service, device)
    const wires = await Promise.all(Array.from({ length: 6 }, () => initiate(service, device)))
    const next = makeIdentity()
    const body = signRotation(device, started, next.identityKey)
    const [rotated, ...answers] = await Promise.all([
      completeRotation(service, device.deviceId, started.challengeId, body),
      ...wires.map(({ wire }) => sendExchange(service, wire)),
    ])
    expect(rotated?.status).toBe(200)
    for (const { status } of answers) expect([201, 401, 503]).toContain(status)
    const { sessions } = await stored(service, device.deviceId)
    expect(sessions.filter(({ has_keys }) => has_keys)).toEqual([])
  }
})
