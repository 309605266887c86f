import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { leafHash } from '../../protocol/log/merkle.ts'
import { newId } from '../../runtime/ids.ts'
import { type Answer, call } from '../support/api.ts'
import {
  addEvents,
  deviceEvent,
  fetchExport,
  firstOrganization,
  readEntries,
  type StoredEntry,
  verifyExport,
} from '../support/audit.ts'
import { expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeTenant, type Tenant } from '../support/tenants.ts'

/** Exports of a log of three partitions of two tiles each. */

let service: TestService
let other: Tenant
let organizationId: string
let all: StoredEntry[]

beforeAll(async () => {
  service = await startTestService({ partitionEntries: 512 })
  other = await makeTenant(service, 'other')
  organizationId = await firstOrganization(service)
  const organizations = [organizationId, other.organizationId, NIL_UUID]
  const events = Array.from({ length: 1_400 }, (_, i) => ({
    draft: deviceEvent(organizations[i % 3] as string),
    at: service.time.now,
  }))
  await addEvents(service, events)
  await service.log.sequence()
  all = await readEntries(service)
}, 120_000)
afterAll(() => service.close())

const ask = (query = '', token = service.adminToken): Promise<Answer> =>
  call(service, 'GET', `/v1/audit/export${query}`, { token })

describe('an export', () => {
  test('is the whole log: in full what is of the organization and of the service, of all else the hash', async () => {
    for (const by of [service, other]) {
      const own = [NIL_UUID, by === other ? other.organizationId : organizationId]
      const lines = await fetchExport(service, '', by.adminToken)
      const expected = all.map(({ index, organizationId: organization, entry }) => {
        const leaf = Buffer.from(leafHash(crypto, new TextEncoder().encode(entry))).toString('base64url')
        const event = own.includes(organization) ? `"event":${entry},` : ''
        return `{"index":${index},${event}"leafHash":"${leaf}"}`
      })
      expect(lines.slice(1, -1)).toEqual(expected)
      expect(lines[0]).toBe(`{"v":1,"origin":"test.example/audit","from":0,"to":${all.length},"frontier":[]}`)
      expect(Object.keys(JSON.parse(lines.at(-1) as string))).toEqual(['checkpoint'])
      const events = all.filter(({ organizationId: organization }) => own.includes(organization)).length
      expect(verifyExport(service, lines)).toMatchObject({
        problem: undefined,
        events,
        hashesOnly: all.length - events,
        checkpoint: { size: all.length },
      })
    }
  })

  test('says nothing of another organization but hashes', async () => {
    const text = (await fetchExport(service)).join('\n')
    const foreign = all.filter((entry) => entry.organizationId === other.organizationId)
    expect(foreign.length).toBeGreaterThan(400)
    expect(text).not.toContain(other.organizationId)
    expect(foreign.filter(({ event }) => text.includes(event.id))).toEqual([])
  })

  test('is lines of JSON, which nobody on the way keeps', async () => {
    const { headers } = await ask('?from=5&to=6')
    expect(headers.get('content-type')).toBe('application/x-ndjson')
    expect(headers.get('cache-control')).toBe('no-store')
  })

  test.each([
    [0, 1],
    [0, 256],
    [1, 2],
    [255, 257],
    [100, 511],
    [256, 512],
    [500, 1_100],
    [511, 513],
    [512, 1_024],
    [777, 777],
    [0, 0],
    [1_023, undefined],
    [1_279, 1_281],
  ])('from %s to %s verifies alone, wherever it begins and ends', async (from, to) => {
    const end = to ?? all.length
    const lines = await fetchExport(service, `?from=${from}${to === undefined ? '' : `&to=${to}`}`)
    const indexes = lines.slice(1, -1).map((line) => JSON.parse(line).index)
    expect(indexes).toEqual(Array.from({ length: end - from }, (_, i) => from + i))
    expect(verifyExport(service, lines)).toMatchObject({ problem: undefined, from, to: end })
    expect(Object.keys(JSON.parse(lines.at(-1) as string))).toEqual(
      end === all.length ? ['checkpoint'] : ['checkpoint', 'consistency'],
    )
  })

  test('may end with the log, in nothing', async () => {
    const size = all.length
    const lines = await fetchExport(service, `?from=${size}`)
    expect(lines).toHaveLength(2)
    expect(verifyExport(service, lines)).toMatchObject({ problem: undefined, from: size, to: size, events: 0 })
  })

  test.each([
    ['from', 'from=-1'],
    ['from', 'from=x'],
    ['from', 'from=5&to=4'],
    ['from', 'from=999999999999999'],
    ['to', 'to=999999999999999'],
    ['to', 'to=1.5'],
    ['more', 'more=1'],
  ])('is refused for its %s: %s', async (field, query) => {
    expectRefusal(await ask(`?${query}`), 400, 'malformed', field)
  })

  test('has nothing that no published checkpoint covers', async () => {
    await addEvents(service, [{ draft: deviceEvent(organizationId), at: service.time.now }])
    await service.log.writer.append()
    expect((await fetchExport(service)).length).toBe(all.length + 2)
    expectRefusal(await ask(`?to=${all.length + 1}`), 400, 'malformed', 'to')
    await service.log.writer.publish()
    const lines = await fetchExport(service, `?from=${all.length}`)
    expect(lines).toHaveLength(3)
    expect(verifyExport(service, lines).problem).toBeUndefined()
    all = await readEntries(service)
  })
})

describe('of exports at once', () => {
  beforeAll(async () => {
    // More than a connection takes in while nobody reads, so that an export can be held in its middle.
    const data = { members: ['name'], name: 'x'.repeat(65_000) }
    const events = Array.from({ length: 250 }, () => ({
      draft: { ...deviceEvent(organizationId), type: 'device.changed' as const, subject: { deviceId: newId() }, data },
      at: service.time.now,
    }))
    await addEvents(service, events)
    await service.log.sequence()
  })

  /** Exports that were asked for meanwhile have begun and do not go on. */
  async function whileTilesAreLocked(work: () => Promise<void>): Promise<void> {
    const { sql } = service.database
    await sql.query('begin')
    try {
      await sql.query('lock table audit_tile in access exclusive mode')
      await work()
    } finally {
      await sql.query('rollback')
    }
  }

  /** Until all four places are free at once: whoever goes away is noticed a moment later. */
  const waitForPlaces = () =>
    vi.waitFor(async () => {
      const asked: Promise<Answer>[] = []
      await whileTilesAreLocked(async () => {
        asked.push(...Array.from({ length: 4 }, () => ask('?from=7&to=9')))
        const refused = asked.map((one) => one.then(({ status }) => expect(status).toBe(200)))
        await Promise.race([waitForExports(4), Promise.all(refused)])
      })
      expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200, 200, 200])
    }, 10_000)

  /** Until so many wait for the tiles, which somebody has locked. */
  const waitForExports = (count: number) =>
    vi.waitFor(async () => {
      const { rows } = await service.database.sql.query(
        `select count(*)::int as count from pg_locks where relation = 'audit_tile'::regclass and not granted`,
      )
      expect(rows[0].count).toBe(count)
    }, 10_000)

  /** One that has begun and that nobody reads on. */
  async function hold(): Promise<() => void> {
    const { hostname, port } = new URL(service.url)
    const headers = { authorization: `Bearer ${service.adminToken}` }
    const sending = request({ hostname, port, path: '/v1/audit/export', headers, agent: false })
    sending.on('error', () => {})
    sending.end()
    const [answer] = (await once(sending, 'response')) as [IncomingMessage]
    expect(answer.statusCode).toBe(200)
    answer.on('error', () => {})
    onTestFinished(() => void sending.destroy())
    return () => void sending.destroy()
  }

  test('two are the same bytes', async () => {
    const [one, two] = await Promise.all([fetchExport(service, '?to=1400'), fetchExport(service, '?to=1400')])
    expect(one).toEqual(two)
  })

  test('the fifth of an organization is told to come again until one of the four goes away, and another organization is not', async () => {
    await waitForPlaces()
    const [leave] = await Promise.all([hold(), hold(), hold(), hold()])
    expectRefusal(await ask('', service.adminToken), 503, 'overloaded')
    expect((await ask('?to=1', other.adminToken)).status).toBe(200)
    // What is no export goes on meanwhile.
    expect((await call(service, 'GET', '/v1/audit/events', { token: other.adminToken })).status).toBe(200)
    expect((await call(service, 'GET', '/v1/audit/checkpoint')).status).toBe(200)
    leave()
    await vi.waitFor(async () => expect((await ask('?to=1')).status).toBe(200), 10_000)
    await hold()
    expectRefusal(await ask(), 503, 'overloaded')
  })

  test('no more than four begin, however many come in one moment, and all four end well', async () => {
    await waitForPlaces()
    const asked: Promise<Answer>[] = []
    await whileTilesAreLocked(async () => {
      asked.push(...Array.from({ length: 12 }, () => ask('?from=1&to=300')))
      let refused = 0
      for (const one of asked) void one.then(({ status }) => (refused += status === 503 ? 1 : 0))
      await vi.waitFor(() => expect(refused).toBe(8), 10_000)
    })
    const statuses = (await Promise.all(asked)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(4)
    expect((await ask('?to=1')).status).toBe(200)
  })

  test('one whose client is gone before it begins leaves no place taken', async () => {
    for (const from of [0, 1]) {
      await waitForPlaces()
      await whileTilesAreLocked(async () => {
        const leaving = new AbortController()
        const headers = { authorization: `Bearer ${service.adminToken}` }
        const asked = Array.from({ length: 4 }, () =>
          fetch(`${service.url}/v1/audit/export?from=${from}`, { headers, signal: leaving.signal })
            .then((response) => response.text())
            .catch((error: Error) => error.name),
        )
        await waitForExports(4)
        expectRefusal(await ask(), 503, 'overloaded')
        leaving.abort()
        expect(await Promise.all(asked)).toEqual(Array.from({ length: 4 }, () => 'AbortError'))
      })
      await waitForPlaces()
    }
  })

  test('one that cannot begin leaves no place taken', async () => {
    const { sql } = service.database
    await waitForPlaces()
    await sql.query('revoke select on audit_tile from qflare_auditor')
    try {
      for (let i = 0; i < 5; i++) expectRefusal(await ask('?from=5'), 500, 'internal')
    } finally {
      await sql.query('grant select on audit_tile to qflare_auditor')
    }
    expect((await ask('?from=5&to=6')).status).toBe(200)
  })
})
