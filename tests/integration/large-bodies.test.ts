import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { call, enrollTestDevice, establish } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** What is beyond 64 KiB of two bodies, and no more. */
const ROOM = 2 * 300_000
const LARGE = 65_536 + 290_000

let service: TestService
const sockets: Socket[] = []

beforeAll(async () => {
  service = await startTestService({ bodyRoomBytes: ROOM })
})
afterAll(() => service.close())
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})

const path = () => `/v1/enrollments/${newId()}/complete`
/** JSON that is no completion. */
const body = (bytes: number) => ({ padding: 'x'.repeat(bytes - 16) })

/** Announces a mebibyte, and sends so much of it. */
function send(bytes: number): Socket {
  const { hostname, port, host } = new URL(service.url)
  const socket = connect(Number(port), hostname)
  sockets.push(socket)
  const lines = [
    `POST ${path()} HTTP/1.1`,
    `Host: ${host}`,
    'Content-Type: application/json',
    'Content-Length: 1048576',
  ]
  socket.write([...lines, '', 'x'.repeat(bytes)].join('\r\n'))
  return socket
}

async function turnedAway(): Promise<number> {
  const { body: text } = await call(service, 'GET', '/metrics')
  return Number(/^qflare_turned_away_total\{queue="bodies"\} (\d+)$/m.exec(text)?.[1] ?? 0)
}

/** Every byte of the room is taken by bodies whose end does not come. */
async function fillRoom(): Promise<void> {
  const before = await turnedAway()
  for (let i = 0; i < 3; i++) send(LARGE)
  await expect.poll(turnedAway).toBe(before + 1)
}

test('what is only announced takes no room', async () => {
  for (let i = 0; i < 10; i++) send(60_000)
  expect((await call(service, 'POST', path(), { body: body(LARGE) })).status).toBe(400)
})

test('a large body that finds no room is answered, and the small ones of others are taken beside it', async () => {
  await fillRoom()
  expectRefusal(await call(service, 'POST', path(), { body: body(LARGE) }), 503, 'overloaded')
  const [answer] = (await once(send(LARGE), 'data')) as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 503 /)
  expect((await call(service, 'POST', path(), { body: body(60_000) })).status).toBe(400)
  await enrollTestDevice(service)
})

test('who shows a token that is known needs none of that room', async () => {
  const device = await enrollTestDevice(service)
  const { accessToken: token } = await establish(service, device)
  await fillRoom()
  const attestation = `/v1/attestations/${newId()}`
  expect((await call(service, 'POST', attestation, { token, body: body(LARGE) })).status).toBe(400)
})

test('room is free again when they are gone, whatever became of them', async () => {
  await fillRoom()
  for (const socket of sockets.splice(0)) socket.destroy()
  for (let i = 0; i < 5; i++) {
    await expect
      .poll(async () => (await call(service, 'POST', path(), { body: body(LARGE) })).status, { timeout: 5_000 })
      .toBe(400)
  }
  await fillRoom()
})
