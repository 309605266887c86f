import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { openDevice, type QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import type { RevocationChange } from '../../client/follow-revocations.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator } from '../../client/operator.ts'
import { insertRevocation } from '../../database/repositories/revocations.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createRevocationFeed } from '../../server/services/revocation-feed.ts'
import { call, createToken, enrollTestDevice, type TestDevice } from '../support/api.ts'
import { firstOrganization } from '../support/audit.ts'
import { listen } from '../support/revocation-listener.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeApiToken } from '../support/tenants.ts'

/** What goes wrong while somebody listens for revocations. */

let service: TestService
let device: TestDevice
let organizationId: string

beforeAll(async () => {
  service = await startTestService()
  organizationId = await firstOrganization(service)
})
afterAll(() => service.close())
beforeEach(async () => {
  device = await enrollTestDevice(service)
})

const step = (action: string, { deviceId } = device) =>
  call(service, 'POST', `/v1/devices/${deviceId}/${action}`, { token: service.adminToken, body: {} })

test('whoever listens waits for a database that restarts, and hears what it has to tell then', async () => {
  const { sql } = service.database
  const listener = await listen(service, service.adminToken)
  onTestFinished(() => listener.close())
  await listener.until('snapshot')
  const { rows } = await sql.query<{ name: string }>('select current_database() as name')
  const limit = (count: number) => sql.query(`alter database ${rows[0]?.name} connection limit ${count}`)
  await limit(0)
  try {
    await sql.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'qflare'`,
    )
    // As another process would, which is connected still.
    await sql.query('begin')
    await sql.query(`select set_config('qflare.organization_id', $1, true)`, [organizationId])
    await sql.query(
      `insert into revocation_feed values ($1, 1) on conflict (organization_id)
        do update set last_sequence = revocation_feed.last_sequence + 1`,
      [organizationId],
    )
    await sql.query(
      `insert into revocation select organization_id, last_sequence, $2, 'SUSPENDED', now() from revocation_feed
        where organization_id = $1`,
      [organizationId, device.deviceId],
    )
    await sql.query('commit')
    await sleep(1_200)
    expect(listener.heard.map(({ name }) => name)).toEqual(['snapshot'])
  } finally {
    await limit(-1)
  }
  await listener.until('change')
  expect(listener.changes()).toEqual([[device.deviceId, 'SUSPENDED']])
})

describe('the news of an organization', () => {
  test('have numbers without a gap in the order of their commits, and what is not committed has none', async () => {
    const api = service.database.open('qflare_api')
    const tell = (status: 'SUSPENDED' | 'ACTIVE', fails = false) =>
      api.withOrganization(organizationId, async (tx) => {
        await insertRevocation(tx, { principalId: device.deviceId, status }, service.time.now)
        if (fails) throw new Error('rolled back')
      })
    const told = await Promise.allSettled(Array.from({ length: 40 }, (_, i) => tell('SUSPENDED', i % 4 === 3)))
    expect(told.filter(({ status }) => status === 'rejected')).toHaveLength(10)
    const { rows } = await service.database.sql.query(
      `select max(sequence) - min(sequence) + 1 as span, count(*) as count,
          max(sequence) = (select last_sequence from revocation_feed where organization_id = $1) as is_last
        from revocation where principal_id = $2`,
      [organizationId, device.deviceId],
    )
    expect(rows).toEqual([{ span: '30', count: '30', is_last: true }])
  })
})

describe('a reader', () => {
  const timing = { pollMs: 20, heartbeatMs: 60, slowMs: 300, cutOffMs: 600 }
  const operator = async () => {
    const { id } = await makeApiToken(service, ['operator'])
    return { type: 'api_token', id, organizationId, roles: ['operator'], isServiceAdmin: false } as const
  }
  async function follow() {
    const database = service.database.open('qflare_api', 2)
    const clock = { now: () => service.time.now, offsetMs: () => 0, measuredAt: () => 0, measure: async () => {} }
    const feed = createRevocationFeed({ database, clock, logger: createLogger('silent') }, timing)
    onTestFinished(() => feed.close())
    const caller = await operator()
    const { chunks, cutOff } = await feed.follow(caller, undefined)
    return Object.assign(chunks[Symbol.asyncIterator](), { cutOff, end: () => feed.close() })
  }

  test('that takes too long for a piece is cut off, and told why', async () => {
    const reader = await follow()
    expect((await reader.next()).value).toMatch(/^event: snapshot\n/)
    await sleep(400)
    expect((await reader.next()).value).toBe('event: end\ndata: {"reason":"too_slow"}\n\n')
    expect((await reader.next()).done).toBe(true)
  })

  test('that does not take a piece at all is cut off, nor may it leave the end of its stream', async () => {
    const [reader, last] = [await follow(), await follow()]
    await reader.next()
    await last.next()
    last.end()
    expect((await last.next()).value).toBe('event: end\ndata: {"reason":"stopping"}\n\n')
    expect((await last.next()).done).toBe(true)
    for (const { cutOff } of [reader, last]) {
      await expect.poll(() => cutOff.aborted, { timeout: 5_000 }).toBe(true)
    }
  })

  test('that went away, or takes what it is given, is not cut off', async () => {
    const [reader, gone] = [await follow(), await follow()]
    await gone.next()
    await gone.return?.()
    for (let beats = 0; beats < 15; beats++) await reader.next()
    for (const { cutOff } of [reader, gone]) expect(cutOff.aborted).toBe(false)
    await reader.return?.()
  })

  test('of whom nothing is to be heard gets a sign of life in between', async () => {
    const reader = await follow()
    await reader.next()
    for (let beats = 0; beats < 3; beats++) expect((await reader.next()).value).toBe(':\n\n')
    await reader.return?.()
  })

  test('that has many to hear of gets them in pages, and no id before the last of them', async () => {
    const { sql } = service.database
    await sql.query(
      `insert into principal (organization_id, id, kind, name, status, spiffe_id, metadata, created_at)
        select $1, gen_random_uuid(), 'device', 'barred', 'SUSPENDED', 'spiffe://x', '{}', now() from generate_series(1, 1200)`,
      [organizationId],
    )
    const reader = await follow()
    const pages: string[] = []
    for (;;) {
      const { value } = await reader.next()
      pages.push(value)
      if (String(value).includes('"isLast":true')) break
    }
    await reader.return?.()
    expect(pages.map((page) => /^id: /m.test(page))).toEqual([false, false, true])
    const ids = pages.flatMap((page) => [...page.matchAll(/"deviceId":"([^"]+)"/g)].map(([, id]) => id))
    expect(ids.length).toBeGreaterThanOrEqual(1200)
    expect(new Set(ids).size).toBe(ids.length)
    await sql.query(`delete from principal where name = 'barred'`)
  })
})

describe('the client library', () => {
  async function enterCoordinator(): Promise<{ device: QflareDevice; deviceId: string }> {
    const { token } = await createToken(service, { kind: 'coordinator' })
    const store = createMemoryStore()
    const now = () => service.time.now
    await enrollDevice({ url: service.url, token, name: 'c', kind: 'coordinator', store, now })
    const opened = await openDevice({ store, now })
    const { deviceId } = await opened.exchange()
    return { device: opened, deviceId }
  }

  test('goes on over an expired token and a new session, and ends with its signal', async () => {
    const coordinator = await enterCoordinator()
    const federations = coordinator.device.federations()
    const { id } = await federations.createFederation({ name: 'watched' })
    await federations.addMember(id, device.deviceId)
    await step('suspend')
    const snapshots: unknown[] = []
    const changes: RevocationChange['status'][] = []
    const stop = new AbortController()
    const following = coordinator.device.followRevocations({
      signal: stop.signal,
      onSnapshot: (devices) => void snapshots.push(devices),
      onChange: ({ status }) => void changes.push(status),
    })
    await expect.poll(() => snapshots).toEqual([[{ deviceId: device.deviceId, status: 'SUSPENDED' }]])
    await step('resume')
    await expect.poll(() => changes, { timeout: 10_000 }).toEqual(['ACTIVE'])
    service.time.now += 300_000
    await service.tick()
    await step('suspend')
    await expect.poll(() => changes, { timeout: 15_000 }).toEqual(['ACTIVE', 'SUSPENDED'])
    await coordinator.device.exchange()
    await step('resume')
    await expect.poll(() => changes, { timeout: 15_000 }).toEqual(['ACTIVE', 'SUSPENDED', 'ACTIVE'])
    stop.abort()
    await following
    expect(snapshots).toHaveLength(1)
  })

  test('rejects with what a callback throws, and with an API token that is none any more', async () => {
    const { id, token } = await makeApiToken(service, ['operator'])
    const operator = openOperator({ url: service.url, apiToken: token })
    const { signal } = new AbortController()
    const failing = operator.followRevocations({
      signal,
      onSnapshot: () => Promise.reject(new Error('mine')),
      onChange: () => {},
    })
    await expect(failing).rejects.toThrow('mine')
    let isBegun = false
    const following = operator.followRevocations({
      signal,
      onSnapshot: () => void (isBegun = true),
      onChange: () => {},
    })
    await expect.poll(() => isBegun).toBe(true)
    await call(service, 'DELETE', `/v1/api-tokens/${id}`, { token: service.adminToken })
    await expect(following).rejects.toMatchObject({ code: 'unauthenticated' })
  })
})
