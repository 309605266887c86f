import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { call } from '../support/api.ts'
import { expectRefusal, sendRaw } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

const paths = ['/live', '/ready', '/metrics', '/version']

let service: TestService
let operator: { url: string }

beforeAll(async () => {
  service = await startTestService({ hasOperatorPort: true, limits: { address: 50 } })
  operator = { url: service.operatorUrl as string }
})
afterAll(() => service.close())

describe('the operator port', () => {
  test('serves health, metrics and version, without a limit and to whoever reaches it', async () => {
    expect((await call(operator, 'GET', '/live')).body).toEqual({ status: 'live' })
    expect((await call(operator, 'GET', '/ready')).body).toMatchObject({ status: 'ready' })
    expect((await call(operator, 'GET', '/version')).body).toMatchObject({ name: 'qflare' })
    expect((await call(operator, 'GET', '/metrics')).body).toContain('qflare_http_request_duration_seconds')
    const headers = { 'x-forwarded-for': '203.0.113.7', via: '1.1 probe', host: 'qflare.monitoring:9090' }
    for (let i = 0; i < 60; i++) expect((await sendRaw(operator, 'GET', '/live', { headers })).status).toBe(200)
  })

  test('serves nothing else', async () => {
    for (const path of ['/', '/v1/buckets', '/v1/trust', '/v1/devices', '/.well-known/jwks.json', '/openapi.json']) {
      const answer = await call(operator, 'GET', path, { token: service.adminToken })
      expectRefusal(answer, 404, 'not_found')
    }
    expectRefusal(await call(operator, 'POST', '/v1/exchanges', { body: {} }), 404, 'not_found')
    expectRefusal(await call(operator, 'POST', '/live', { body: {} }), 405, 'method_not_allowed')
  })
})

test('where there is one, the API’s port has none of it, also for this machine', async () => {
  for (const path of paths) {
    for (const method of ['GET', 'POST', 'OPTIONS']) {
      expectRefusal(await sendRaw(service, method, path), 404, 'not_found')
    }
    expect((await fetch(`${service.url}${path}`, { method: 'HEAD' })).status).toBe(404)
  }
  expect((await call(service, 'GET', '/v1/buckets')).status).toBe(200)
})

test('without one, there is none', async () => {
  const plain = await startTestService()
  onTestFinished(() => plain.close())
  expect(plain.operatorUrl).toBeUndefined()
  for (const path of paths) expect((await call(plain, 'GET', path)).status).toBe(200)
})

test('it tells of the drain until the API has answered what is under way, and then goes too', async () => {
  const draining = await startTestService({ hasOperatorPort: true })
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  const held = get(`${draining.operatorUrl}/live`, { agent })
  await text(((await once(held, 'response')) as [IncomingMessage])[0])

  const { sql } = draining.database
  await sql.query('begin; lock table trust_bundle in access exclusive mode')
  const underWay = call(draining, 'GET', '/v1/trust')
  await expect.poll(() => connectionsThatWait(draining), { timeout: 10_000 }).toBe(1)
  const closed = draining.close()
  await expect.poll(() => refusesConnections(draining.url), { timeout: 10_000 }).toBe(true)
  const ready = await call({ url: draining.operatorUrl as string }, 'GET', '/ready')
  expect(ready).toMatchObject({ status: 503, body: { status: 'not_ready', checks: { shutdown: { ok: false } } } })
  await sql.query('rollback')
  expect((await underWay).status).toBe(200)
  await closed
  expect(await refusesConnections(draining.operatorUrl as string)).toBe(true)
})

test('while balancers have still to notice, it is not ready, and the API serves everybody and keeps no connection', async () => {
  const unasked = Promise.withResolvers<void>()
  const draining = await startTestService({ hasOperatorPort: true, untilUnasked: () => unasked.promise })
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  const ask = async () => {
    const sent = get(`${draining.url}/v1/trust`, { agent })
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    await text(answer)
    return { status: answer.statusCode, connection: answer.headers.connection, isReused: sent.reusedSocket }
  }
  expect(await ask()).toEqual({ status: 200, connection: 'keep-alive', isReused: false })

  const closed = draining.close()
  const ready = await call({ url: draining.operatorUrl as string }, 'GET', '/ready')
  expect(ready).toMatchObject({ status: 503, body: { checks: { database: { ok: true }, shutdown: { ok: false } } } })
  // One that was kept, and a new one.
  expect(await ask()).toEqual({ status: 200, connection: 'close', isReused: true })
  expect(await ask()).toEqual({ status: 200, connection: 'close', isReused: false })
  expect((await call(draining, 'POST', '/v1/enrollments', { body: {} })).status).toBe(400)

  unasked.resolve()
  await closed
  expect(await refusesConnections(draining.url)).toBe(true)
})

async function connectionsThatWait({ database }: TestService): Promise<number> {
  const { rows } = await database.sql.query<{ count: number }>(
    `select count(*)::int as count from pg_locks where not granted and relation = 'trust_bundle'::regclass`,
  )
  return rows[0]?.count ?? 0
}

async function refusesConnections(url: string): Promise<boolean> {
  return fetch(`${url}/live`).then(
    () => false,
    (error: { cause?: { code?: string } }) => error.cause?.code === 'ECONNREFUSED',
  )
}
