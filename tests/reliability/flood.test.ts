import { afterAll, beforeAll, expect, test } from 'vitest'
import { type BenchService, startBenchService } from '../../bench/exchange/start-service.ts'
import { enrollHonest, exchangeFor, type Honest } from '../../bench/flood/honest-devices.ts'
import type { OpenRequestName } from '../../bench/flood/open-requests.ts'
import { startFlood } from '../../bench/flood/start-flood.ts'

// Forged exchanges from a process of its own, on far more connections than the service can answer in the time that a client waits.
const DEVICES = 8
const PER_SECOND = 20_000
const CONNECTIONS = 1_200
const FLOOD_MS = 9_000

let service: BenchService
let honest: Honest[]

beforeAll(async () => {
  service = await startBenchService([], { QFLARE_TRUST_PROXY: '127.0.0.1' })
  honest = await enrollHonest(service, DEVICES)
})
afterAll(() => service.stop())

interface Stored {
  sessions: number
  /** Of anybody else than the honest devices. */
  foreign: number
  /** Of devices that were named, by what became of the messages. */
  refusals: number
}

async function readStored(): Promise<Stored> {
  const sql = await service.connectDatabase()
  try {
    const ids = honest.map(({ deviceId }) => deviceId)
    const { rows } = await sql.query<Stored>(
      `select count(*)::int as sessions, (count(*) filter (where principal_id <> all ($1)))::int as foreign,
        (select count(*)::int from audit_entry where type = 'exchange.refused') as refusals
      from session`,
      [ids],
    )
    return rows[0] as Stored
  } finally {
    await sql.end()
  }
}

async function runUnderFlood(names: { deviceIds: readonly string[]; addresses: number; requests?: OpenRequestName }) {
  const flood = await startFlood(service.url, { perSecond: PER_SECOND, connections: CONNECTIONS, ...names })
  const report = await exchangeFor(honest, FLOOD_MS)
  return { report, flood: await flood.stop() }
}

function expectServed({ report, flood }: Awaited<ReturnType<typeof runUnderFlood>>): void {
  const { attempts, latenciesMs, failures } = report
  expect(attempts).toBeGreaterThanOrEqual(DEVICES)
  expect(latenciesMs.length / attempts, JSON.stringify({ failures, flood })).toBeGreaterThanOrEqual(0.9)
  // The flood was there, was more than could be worked on, and nothing of it was taken.
  expect(flood.sent).toBeGreaterThan(5_000)
  expect(flood.answers['503'] ?? 0).toBeGreaterThan(1_000)
  expect(flood.answers['401'] ?? 0).toBeGreaterThan(0)
  expect(Object.keys(flood.answers).filter((status) => status.startsWith('2'))).toEqual([])
}

test('devices exchange while forged exchanges of devices that nobody knows come from everywhere', async () => {
  const before = await readStored()
  const result = await runUnderFlood({ deviceIds: [], addresses: 65_536 })
  expectServed(result)
  const after = await readStored()
  expect(after.foreign).toBe(0)
  expect(after.sessions - before.sessions).toBeLessThanOrEqual(result.report.attempts + result.report.retries)
})

test('a device exchanges while forged exchanges come in its name, and leaves an event a minute of them', async () => {
  const [named] = honest
  const before = await readStored()
  const result = await runUnderFlood({ deviceIds: [named?.deviceId ?? ''], addresses: 1 })
  expectServed(result)
  expect(result.report.succeeded[0], 'the device that is named').toBeGreaterThanOrEqual(1)
  const after = await readStored()
  expect(after.sessions - before.sessions).toBeLessThanOrEqual(result.report.attempts + result.report.retries)
  expect(after.refusals).toBeLessThanOrEqual(2)
})

// The dearest that anybody may ask for, what stops at a look-up, and what is answered at once.
const open: [OpenRequestName, string][] = [
  ['completions', '404'],
  ['enrolments', '401'],
  ['bucket certificates', '200'],
]

test.each(open)('devices exchange while %s are asked for from everywhere', async (requests, status) => {
  const before = await readStored()
  const { report, flood } = await runUnderFlood({ deviceIds: [], addresses: 65_536, requests })
  const { attempts, latenciesMs, failures } = report
  expect(attempts).toBeGreaterThanOrEqual(DEVICES)
  expect(latenciesMs.length / attempts, JSON.stringify({ failures, flood })).toBeGreaterThanOrEqual(0.9)
  expect(flood.sent).toBeGreaterThan(CONNECTIONS)
  expect(flood.answers[status] ?? 0).toBeGreaterThan(0)
  expect((await readStored()).foreign).toBe(before.foreign)
})
