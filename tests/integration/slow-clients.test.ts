import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { call, enrollTestDevice, establish } from '../support/api.ts'
import { addEvents, deviceEvent, firstOrganization } from '../support/audit.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** One attacker with many addresses: all of 127.0.0.0/8 is this machine. */
const ADDRESSES = 8
const OF_EACH = 5
/** server/listener.ts gives a request 15 s, and looks every two. */
const CUT_OFF_MS = 40_000

let service: TestService

beforeAll(async () => {
  service = await startTestService()
  // More than a connection takes in while nobody reads, so that an export can be held in its middle.
  const organizationId = await firstOrganization(service)
  const data = { members: ['name'], name: 'x'.repeat(65_000) }
  const draft = {
    ...deviceEvent(organizationId),
    type: 'device.changed' as const,
    subject: { deviceId: newId() },
    data,
  }
  await addEvents(
    service,
    Array.from({ length: 250 }, () => ({ draft, at: service.time.now })),
  )
  await service.log.sequence()
})
afterAll(() => service.close())

async function open(localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port: Number(new URL(service.url).port), host: '127.0.0.1', localAddress })
  socket.on('error', () => undefined)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Connections of all addresses on which the same is sent. */
async function openMany(text: string): Promise<Socket[]> {
  const addresses = Array.from({ length: ADDRESSES * OF_EACH }, (_, i) => `127.0.0.${2 + (i % ADDRESSES)}`)
  const sockets = await Promise.all(addresses.map(open))
  for (const socket of sockets) socket.write(text)
  return sockets
}

const post = 'POST /v1/exchanges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'

test('who sends slowly, stops halfway or reads nothing keeps nobody from being served, holds no transaction, and is cut off', async () => {
  const device = await enrollTestDevice(service)
  const [inHeaders, inBody, headersByByte, bodyByByte] = await Promise.all([
    openMany('GET /v1/buckets HTTP/1.1\r\nHost: x\r\nX-Slow: '),
    openMany(`${post}Content-Length: 1000\r\n\r\n{`),
    openMany('GET /v1/buckets HTTP/1.1\r\nHost: x\r\nX-Slow: '),
    openMany(`${post}Transfer-Encoding: chunked\r\n\r\n`),
  ])
  const slowly = setInterval(() => {
    for (const socket of headersByByte) socket.write('x')
    for (const socket of bodyByByte) socket.write('1\r\n \r\n')
  }, 500)
  onTestFinished(() => clearInterval(slowly))
  const unread = await openMany('GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(16))
  const authorized = `Host: x\r\nAuthorization: Bearer ${service.adminToken}\r\n`
  const exports = await openMany(`GET /v1/audit/export HTTP/1.1\r\n${authorized}\r\n`)
  for (const socket of [...unread, ...exports]) socket.pause()

  const ask = (path: string) => call(service, 'GET', path, { token: service.adminToken })
  for (let times = 0; times < 5; times++) {
    await establish(service, device)
    expect((await ask('/v1/devices')).status).toBe(200)
  }
  // Those that are under way wait for their readers without the database.
  await vi.waitFor(async () => {
    expectRefusal(await ask('/v1/audit/export'), 503, 'overloaded')
    const { rows } = await service.database.sql.query(
      `select state from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
        and xact_start is not null`,
    )
    expect(rows).toEqual([])
  }, 10_000)
  expect((await ask('/v1/audit/events?limit=1')).status).toBe(200)

  const slow = [...inHeaders, ...inBody, ...headersByByte, ...bodyByByte]
  const answers = slow.map((socket) => once(socket, 'data').then(([data]) => String(data)))
  expect(new Set((await Promise.all(answers)).map((answer) => answer.slice(9, 12)))).toEqual(new Set(['408']))
  await expect.poll(() => slow.filter(({ closed }) => !closed), { timeout: CUT_OFF_MS }).toEqual([])
  for (const socket of [...unread, ...exports]) socket.destroy()
  await vi.waitFor(async () => expect((await ask('/v1/audit/export?to=1')).status).toBe(200), 10_000)
}, 90_000)

test('a request waits until the one before it on its connection is answered', async () => {
  const { sql } = service.database
  const count = async () => (await sql.query('select from enrollment_token')).rowCount
  const before = await count()
  const socket = await open()
  await sql.query('begin; lock table incident in access exclusive mode')
  const authorized = `Host: x\r\nAuthorization: Bearer ${service.adminToken}\r\n`
  const body = '{"kind":"device"}'
  const json = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n`
  socket.write(`GET /v1/incidents HTTP/1.1\r\n${authorized}\r\n`)
  socket.write(`POST /v1/enrollment-tokens HTTP/1.1\r\n${authorized}${json}\r\n${body}`)
  await vi.waitFor(async () => {
    const { rowCount } = await sql.query('select from pg_locks where not granted')
    expect(rowCount).toBe(1)
  }, 10_000)
  for (let times = 0; times < 5; times++) {
    expect((await call(service, 'GET', '/v1/audit/events?limit=1', { token: service.adminToken })).status).toBe(200)
  }
  expect(await count()).toBe(before)
  await sql.query('rollback')
  socket.resume()
  await once(socket, 'close')
  expect(await count()).toBe((before ?? 0) + 1)
})

test('the OpenAPI document is not written anew for each who asks for it', async () => {
  const stringify = vi.spyOn(JSON, 'stringify')
  onTestFinished(() => stringify.mockRestore())
  const answer = await fetch(`${service.url}/openapi.json`)
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
  expect((await answer.json()) as object).toHaveProperty('openapi', '3.1.1')
  const written = stringify.mock.results.map(({ value }) => String(value).length)
  expect(Math.max(0, ...written)).toBeLessThan(10_000)
})
