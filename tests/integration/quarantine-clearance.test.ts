import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { tokenProof } from '../../protocol/exchange/epochs.ts'
import { tokenRequest } from '../../protocol/exchange/messages.ts'
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
import { crypto, startTestService, type TestService } from '../support/service.ts'

/** How a device comes out of a quarantine, and by nothing else. */

let service: TestService
let device: TestDevice

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())
beforeEach(async () => {
  device = await enrollTestDevice(service)
})

const step = (action: string) =>
  call(service, 'POST', `/v1/devices/${device.deviceId}/${action}`, { token: service.adminToken, body: {} })
const setStatus = (status: string) =>
  service.database.sql.query(
    'update principal set status = $2, active_session_id = null, pending_session_ids = $3 where id = $1',
    [device.deviceId, status, []],
  )

test('a quarantined device is refused like one that is suspended, with whatever it still has', async () => {
  const answers: unknown[] = []
  for (const status of ['QUARANTINED', 'SUSPENDED']) {
    device = await enrollTestDevice(service)
    const { accessToken, sessionId, chain, epoch } = await establish(service, device)
    const pending = await openExchange(service, device)
    const next = await initiate(service, device)
    // Its sessions are left as they are, so that the status alone refuses.
    await setStatus(status)
    const nonce = crypto.randomBytes(32)
    const proof = tokenProof(crypto, chain, { sessionId, epoch, nonce })
    const body = tokenRequest.encode({ deviceId: device.deviceId, epoch, nonce, proof })
    answers.push(
      [
        await sendExchange(service, next.wire),
        await confirm(service, device, pending),
        await call(service, 'POST', `/v1/sessions/${sessionId}/tokens`, { body }),
        await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: accessToken }),
        await call(service, 'POST', `/v1/devices/${device.deviceId}/rotate-identity`, { token: accessToken, body: {} }),
      ].map(refusal),
    )
  }
  expect(answers[0]).toEqual([
    { status: 401, code: 'exchange_refused' },
    { status: 409, code: 'session_state' },
    { status: 409, code: 'session_state' },
    { status: 401, code: 'unauthenticated' },
    { status: 401, code: 'unauthenticated' },
  ])
  expect(answers[1]).toEqual(answers[0])
})

test('an operator clears it once, with one event, and it exchanges again; its sessions of before stay ended', async () => {
  await establish(service, device)
  await step('suspend')
  await setStatus('QUARANTINED')
  const before = await stored(service, device.deviceId)
  const answers = await Promise.all(Array.from({ length: 4 }, () => step('clear-quarantine')))
  expect(answers.map(({ status, body }) => [status, body.status])).toEqual(answers.map(() => [200, 'ACTIVE']))
  const after = await stored(service, device.deviceId)
  expect(after.events['device.quarantine_cleared']).toBe(1)
  expect(after.sessions).toEqual(before.sessions)
  const contents = await databaseContents(service)
  expect((await step('clear-quarantine')).status).toBe(200)
  expect(await databaseContents(service)).toEqual(contents)
  const { accessToken } = await establish(service, device)
  const own = await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: accessToken })
  expect(own.status).toBe(200)
})

test('neither a suspension nor a resumption gets it out, and a revocation is for good', async () => {
  await setStatus('QUARANTINED')
  const contents = await databaseContents(service)
  for (const action of ['suspend', 'resume']) expectRefusal(await step(action), 409, 'session_state')
  expect(await databaseContents(service)).toEqual(contents)
  expect((await step('revoke')).body.status).toBe('REVOKED')
  expectRefusal(await step('clear-quarantine'), 409, 'session_state')
})

test('what is suspended is not cleared', async () => {
  await step('suspend')
  expectRefusal(await step('clear-quarantine'), 409, 'session_state')
  expect((await step('resume')).body.status).toBe('ACTIVE')
})
