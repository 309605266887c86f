import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openFileTemporalKeyStore } from '../../runtime/temporal/file-temporal-key-store.ts'
import { call, confirm, createToken, enrollTestDevice, openExchange, refusal } from '../support/api.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

test('a device whose pending sessions are hours old begins a new exchange', async () => {
  const device = await enrollTestDevice(service)
  await openExchange(service, device)
  await openExchange(service, device)
  service.time.now += 3 * 3_600_000
  await service.tick()
  expect((await confirm(service, device, await openExchange(service, device))).status).toBe(200)
})

test('who sends requests and reads no answer is cut off', async () => {
  const { port } = new URL(service.url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.on('error', () => {})
  socket.pause()
  socket.write('GET /v1/buckets HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(400))
  socket.resume()
  await once(socket, 'close')
  expect((await call(service, 'GET', '/v1/buckets')).status).toBe(200)
})

test('temporal keys are kept again after their folder was cleared', async () => {
  const folder = `/tmp/qflare-cleared-${process.pid}`
  const store = await openFileTemporalKeyStore(folder)
  await rm(folder, { recursive: true })
  const name = { kind: 'epoch', number: 1, generation: 0 } as const
  expect(await store.destroy(name)).toBe(false)
  expect(await store.makeOnce(name, new Uint8Array(8))).toHaveLength(8)
  await rm(folder, { recursive: true })
})

test('a trust bundle that was replaced in the database is given to nobody', async () => {
  const { credential } = await createToken(service)
  const { sql } = service.database
  await sql.query(`update trust_bundle set body = jsonb_set(body, '{trustDomain}', '"attacker.example"')`)
  expect(refusal(await call(service, 'GET', '/v1/trust'))).toEqual({ status: 500, code: 'internal' })
  const started = await call(service, 'POST', '/v1/enrollments', { body: { token: credential } })
  expect(refusal(started)).toEqual({ status: 500, code: 'internal' })
  await sql.query(`update trust_bundle set body = jsonb_set(body, '{trustDomain}', '"test.example"')`)
  expect((await call(service, 'GET', '/v1/trust')).status).toBe(200)
})
