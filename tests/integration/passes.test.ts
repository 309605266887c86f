import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { newId } from '../../runtime/ids.ts'
import { type Answer, call, createToken, enrollTestDevice, initiate } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** server/compose.ts works on 16 exchanges at once; one more may wait in each lane here. */
const AT_WORK = 16
const LIMIT = 12

let service: TestService
afterEach(() => service.close())

type Device = Awaited<ReturnType<typeof enrollTestDevice>>

async function exchange(device: Device, pass?: string): Promise<Answer> {
  const { wire } = await initiate(service, device)
  return send(wire, pass)
}

function send(wire: unknown, pass?: string): Promise<Answer> {
  const headers = pass === undefined ? {} : { 'qflare-pass': pass }
  return call(service, 'POST', '/v1/exchanges', { body: wire, headers })
}

/** A device and the pass of its first exchange. */
async function enrollWithPass(): Promise<{ device: Device; pass: string }> {
  const device = await enrollTestDevice(service)
  const answer = await exchange(device)
  expect(answer.status).toBe(201)
  return { device, pass: answer.headers.get('qflare-pass') ?? '' }
}

/** Holds every exchange before its commit until it is called. */
async function holdExchanges(): Promise<() => Promise<void>> {
  const { sql } = service.database
  await sql.query('begin; lock table session in share mode')
  return async () => void (await sql.query('rollback'))
}

async function untilWaiting(count: number): Promise<void> {
  const deadline = Date.now() + 20_000
  const pattern = new RegExp(`^qflare_crypto_queue_depth ${count}$`, 'm')
  while (!pattern.test((await call(service, 'GET', '/metrics')).body)) {
    if (Date.now() > deadline) throw new Error(`not ${count} are waiting`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('in a queue that is full of exchanges without a pass', () => {
  /** All places at work and the one that waits, and then what `ask` sends. */
  async function fill<T>(ask: (strangers: Device) => Promise<T>): Promise<{ asked: T; strangers: Answer[] }> {
    const stranger = await enrollTestDevice(service)
    const wires = []
    for (let i = 0; i <= AT_WORK; i++) wires.push((await initiate(service, await enrollTestDevice(service))).wire)
    const release = await holdExchanges()
    const sent = wires.map((wire) => send(wire))
    try {
      await untilWaiting(1)
      const asked = await ask(stranger)
      return { asked, strangers: (await release(), await Promise.all(sent)) }
    } finally {
      await release()
    }
  }

  test('a device with its pass is served, and one without is turned away', async () => {
    service = await startTestService({ exchangeQueueLength: 1, maxConnections: AT_WORK + 6 })
    const { device, pass } = await enrollWithPass()
    const { wire } = await initiate(service, device)
    const { asked, strangers } = await fill(async (stranger) => {
      expectRefusal(await exchange(stranger), 503, 'overloaded')
      expectRefusal(
        await exchange(
          stranger,
          pass.replace(/.$/, (end) => (end === 'A' ? 'Q' : 'A')),
        ),
        503,
        'overloaded',
      )
      const known = send(wire, pass)
      await untilWaiting(2)
      return { known }
    })
    expect((await asked.known).status).toBe(201)
    expect(strangers.map(({ status }) => status)).toEqual(strangers.map(() => 201))
  })

  test('who has no place is told so before his body is read, and is not counted on', async () => {
    service = await startTestService({ exchangeQueueLength: 1, maxConnections: AT_WORK + 6 })
    const { asked } = await fill(async () => {
      const { hostname, port, host } = new URL(service.url)
      const socket = connect(Number(port), hostname)
      const head = [`Host: ${host}`, 'Content-Type: application/json', 'Content-Length: 9000']
      socket.write(['POST /v1/exchanges HTTP/1.1', ...head, '', '{'].join('\r\n'))
      const [first] = (await once(socket, 'data')) as [Buffer]
      socket.destroy()
      return first.toString()
    })
    expect(asked).toMatch(/^HTTP\/1\.1 503 /)
    expect(asked).toContain('"code":"overloaded"')
  })

  test('a confirmation with its pass is taken, and one without is turned away', async () => {
    service = await startTestService({ exchangeQueueLength: 1, maxConnections: AT_WORK + 6 })
    const { device, pass } = await enrollWithPass()
    const { asked } = await fill(async () => {
      const path = `/v1/exchanges/${newId()}/confirm`
      const body = { deviceId: device.deviceId, confirmation: toBase64url(new Uint8Array(64)) }
      expectRefusal(await call(service, 'POST', path, { body }), 503, 'overloaded')
      const known = call(service, 'POST', path, { body, headers: { 'qflare-pass': pass } })
      await untilWaiting(2)
      return { known }
    })
    expectRefusal(await asked.known, 404, 'not_found')
  })

  test('a pass that is used more than twice at once goes with those that have none', async () => {
    service = await startTestService({ exchangeQueueLength: 3, maxConnections: AT_WORK + 6 })
    const { device, pass } = await enrollWithPass()
    const wires = [await initiate(service, device), await initiate(service, device)]
    const { asked } = await fill(async (stranger) => {
      // The other places of the lane without passes; one of that with passes stays free.
      const others = [exchange(stranger), exchange(stranger)]
      await untilWaiting(3)
      const twice = wires.map(({ wire }) => send(wire, pass))
      await untilWaiting(5)
      const third = await Promise.race([exchange(device, pass), untilWaiting(6)])
      return { third, all: [...others, ...twice] }
    })
    expect(asked.third, 'it waits').toBeDefined()
    expectRefusal(asked.third as Answer, 503, 'overloaded')
    expect((await Promise.all(asked.all)).map(({ status }) => status)).toEqual([201, 201, 201, 201])
  })
})

test('who has a pass is not turned away for what comes from next to him', async () => {
  service = await startTestService({ limits: { address: LIMIT * 3 } })
  const { device, pass } = await enrollWithPass()
  const { wire } = await initiate(service, device)
  let last: Answer | undefined
  for (let i = 0; i < LIMIT * 3 && last?.status !== 429; i++) last = await call(service, 'GET', '/v1/trust')
  expect(last?.status).toBe(429)
  expectRefusal(await send(wire), 429, 'rate_limited')
  expect((await send(wire, pass)).status).toBe(201)
  const statuses = []
  for (let i = 0; i <= LIMIT * 3; i++) {
    statuses.push((await call(service, 'GET', '/v1/trust', { headers: { 'qflare-pass': pass } })).status)
  }
  expect(statuses.at(-1), 'it has the same limit, for itself').toBe(429)
})

test('what is no pass is none, and no reason to refuse', async () => {
  service = await startTestService()
  const device = await enrollTestDevice(service)
  for (const pass of ['x', 'A'.repeat(98), 'a b']) expect((await exchange(device, pass)).status).toBe(201)
})

test('a refused message gets no pass', async () => {
  service = await startTestService()
  const [device, other] = [await enrollTestDevice(service), await enrollTestDevice(service)]
  const { wire } = await initiate(service, { ...device, identityKey: other.identityKey })
  const refused = await send(wire)
  expectRefusal(refused, 401, 'exchange_refused')
  expect(refused.headers.has('qflare-pass')).toBe(false)
  const right = (await initiate(service, device)).wire
  expect((await send(right)).headers.has('qflare-pass')).toBe(true)
  const again = await send(right)
  expectRefusal(again, 409, 'replayed')
  expect(again.headers.has('qflare-pass')).toBe(false)
})

test('the client library keeps the pass of its enrolment and then the newest', async () => {
  service = await startTestService({ isRealTime: true })
  const { token } = await createToken(service)
  const store = createMemoryStore()
  const device = await enrollDevice({ url: service.url, token, store, name: 'edge' })
  const first = (await store.load())?.pass
  await device.exchange()
  const second = (await store.load())?.pass
  expect([first, second]).toEqual([expect.stringMatching(/^[\w-]{98}$/), expect.stringMatching(/^[\w-]{98}$/)])
  expect(second).not.toBe(first)
})
