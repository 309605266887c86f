import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { call, createToken, enrollTestDevice, establish } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeApiToken } from '../support/tenants.ts'

/** server/compose.ts has so much open work done at once; one more may wait in each lane here. */
const AT_WORK = 8

let service: TestService
afterEach(() => service.close())

const start = async () => {
  service = await startTestService({ openWorkWaiting: 1, maxConnections: AT_WORK + 8 })
}
const begin = (token: string, headers: Record<string, string> = {}) =>
  call(service, 'POST', '/v1/enrollments', { body: { token }, headers })
const secretOf = (token: string) => token.split('.').slice(0, 2).join('.')

async function turnedAway(): Promise<number> {
  const { body } = await call(service, 'GET', '/metrics')
  return Number(/^qflare_turned_away_total\{queue="open_work"\} (\d+)$/m.exec(body)?.[1])
}

/** Every place at work and the one that waits are taken by enrolments that cannot begin until `ask` is done. */
async function inFull<T>(ask: () => Promise<T>): Promise<T> {
  const tokens = []
  for (let i = 0; i <= AT_WORK; i++) tokens.push(secretOf((await createToken(service)).token))
  const before = await turnedAway()
  const { sql } = service.database
  await sql.query('begin; lock table challenge in access exclusive mode')
  const begun = tokens.map((token) => begin(token))
  try {
    const full = begin(`${newId()}.x`)
    await expect.poll(() => turnedAway(), { timeout: 10_000 }).toBe(before + 1)
    expectRefusal(await full, 503, 'overloaded')
    return await ask()
  } finally {
    await sql.query('rollback')
    expect((await Promise.all(begun)).map(({ status }) => status)).toEqual(begun.map(() => 201))
  }
}

test('what anybody may ask for has its places, and who has none is told so before his body is read', async () => {
  await start()
  const head = await inFull(async () => {
    for (const path of ['/v1/trust', '/.well-known/jwks.json', '/v1/audit/checkpoint']) {
      expectRefusal(await call(service, 'GET', path), 503, 'overloaded')
    }
    const { hostname, port, host } = new URL(service.url)
    const socket = connect(Number(port), hostname)
    const path = `/v1/enrollments/${newId()}/complete`
    const lines = [`POST ${path} HTTP/1.1`, `Host: ${host}`, 'Content-Type: application/json', 'Content-Length: 900000']
    socket.write([...lines, '', '{'].join('\r\n'))
    const [first] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    return first.toString()
  })
  expect(head).toMatch(/^HTTP\/1\.1 503 /)
  expect(head).toContain('"code":"overloaded"')
})

test('a token that is known is served beside it, and so is what costs nothing; a strange one has no place', async () => {
  await start()
  const device = await enrollTestDevice(service)
  const { accessToken } = await establish(service, device)
  const [used, fresh] = [await makeApiToken(service, ['operator']), await makeApiToken(service, ['operator'])]
  const ask = (token: string, path = '/v1/devices?limit=1') => call(service, 'GET', path, { token })
  expect((await ask(used.token)).status).toBe(200)
  await inFull(async () => {
    expect((await ask(used.token)).status).toBe(200)
    expect((await ask(accessToken, `/v1/devices/${device.deviceId}`)).status).toBe(200)
    expectRefusal(await ask(fresh.token), 503, 'overloaded')
    expectRefusal(await ask(`qf_${newId()}.${'x'.repeat(43)}`), 503, 'overloaded')
    expect((await call(service, 'GET', '/v1/buckets')).status).toBe(200)
    expectRefusal(await call(service, 'GET', '/v1/devices'), 401, 'unauthenticated')
    await establish(service, device)
  })
  expect((await ask(fresh.token)).status).toBe(200)
  await inFull(async () => expect((await ask(fresh.token)).status).toBe(200))
})

test('a token that has ended is strange again', async () => {
  await start()
  const { id, token } = await makeApiToken(service, ['operator'])
  const ask = () => call(service, 'GET', '/v1/devices?limit=1', { token })
  expect((await ask()).status).toBe(200)
  await call(service, 'DELETE', `/v1/api-tokens/${id}`, { token: service.adminToken })
  await inFull(async () => {
    // It is looked up once more, for it was known.
    expectRefusal(await ask(), 401, 'unauthenticated')
    expectRefusal(await ask(), 503, 'overloaded')
  })
})
