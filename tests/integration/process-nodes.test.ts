import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { openDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../database/embedded.ts'
import { call } from '../support/api.ts'
import { makeTestFolder, operate, stop } from '../support/operations.ts'
import { loginsOf, prepareOwnPostgres } from '../support/own-postgres.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'
import { expectRefusal } from '../support/refusals.ts'
import { makeServiceFolder, openAdmin, removeServiceFolder, spawnService } from '../support/service-process.ts'

// Each step is a process of its own.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

const READY = /ready at no address/
const WITHIN = { timeout: 30_000, interval: 100 }

describe.skipIf(!hasRedis)('processes on one database', () => {
  let server: string
  let postgres: EmbeddedPostgres
  let redis: TestRedis
  let env: Record<string, string>
  beforeAll(async () => {
    server = await makeServiceFolder()
    postgres = await startEmbeddedPostgres({ dataDirectory: server, log: () => undefined })
    await prepareOwnPostgres(postgres)
    redis = await startTestRedis()
    env = {
      ...loginsOf(postgres),
      QFLARE_TEMPORAL_REDIS_URL: redis.url,
      QFLARE_CHECKPOINT_FILE: join(server, 'audit-checkpoint'),
      QFLARE_ROOT_KEY: randomBytes(32).toString('hex'),
    }
  })
  afterAll(async () => {
    await redis.stop()
    await postgres.stop()
    await removeServiceFolder(server)
  })

  async function count(from: string): Promise<number> {
    const { host, superuserPassword: password } = postgres
    const client = new Client({ host, user: 'postgres', password, database: 'service' })
    await client.connect()
    const { rows } = await client.query<{ count: number }>(`select count(*)::int as count from ${from}`)
    await client.end()
    return rows[0]?.count ?? 0
  }
  const readiness = async (url: string) => (await call({ url }, 'GET', '/ready')).body
  const isReady = (url: string) =>
    vi.waitFor(async () => expect(await readiness(url)).toMatchObject({ status: 'ready' }), WITHIN)

  test('that start all at once, in roles of their own, make one service, and a device of one is a device of all', async () => {
    const folders = [await makeTestFolder(), await makeTestFolder(), await makeTestFolder(), await makeTestFolder()]
    const [early, other, worker, second] = folders as [string, string, string, string]
    const apis = [early, other].map((folder) => spawnService(folder, { ...env, QFLARE_ROLES: 'api' }))
    await Promise.all(apis.map((api) => api.said(/waiting for a process with the role worker/)))
    const workers = [
      spawnService(worker, { ...env, QFLARE_ROLES: 'worker,sequencer' }),
      spawnService(second, { ...env, QFLARE_ROLES: 'worker' }),
    ]
    for (const each of workers) await each.said(READY)
    const [one, two] = (await Promise.all(apis.map((api) => api.ready()))) as [string, string]
    await Promise.all([isReady(one), isReady(two)])

    const withToken = folders.filter((folder) => existsSync(join(folder, 'admin-token')))
    expect(withToken).toHaveLength(1)
    expect([worker, second]).toContain(withToken[0])
    const made = await Promise.all(['trust_bundle', 'organization', 'temporal_key where generation > 0'].map(count))
    expect(made).toEqual([1, 1, 0])

    const admin = await openAdmin(one, withToken[0] as string)
    const { token } = await admin.createEnrollmentToken({ kind: 'device' })
    const store = createMemoryStore()
    await (await enrollDevice({ url: one, token, store, name: 'edge' })).exchange()
    const elsewhere = await openDevice({ url: two, store })
    await elsewhere.renewToken()
    expect((await elsewhere.exchange()).session).toBeDefined()

    // A worker that is killed leaves everything to the other, and one that comes back finds everything as it is.
    workers[0]?.kill('SIGKILL')
    await workers[0]?.ended()
    await isReady(one)
    const again = spawnService(worker, { ...env, QFLARE_ROLES: 'worker,sequencer' })
    await again.said(READY)
    expect(await count('temporal_key where generation > 0')).toBe(0)
    await isReady(two)

    const examined = await operate(early, ['doctor', '--at', one, '--json'], env)
    const { findings } = JSON.parse(examined.stdout) as { findings: { part: string; level: string }[] }
    expect(findings.filter(({ part }) => part === 'temporal keys').map(({ level }) => level)).toEqual(['ok', 'ok'])

    const { QFLARE_TEMPORAL_REDIS_URL: _url, ...withFiles } = env
    const alone = spawnService(await makeTestFolder(), withFiles)
    expect(await alone.ended()).toBe(1)
    expect(alone.output.stderr).toMatch(/Temporal keys in files are of one process: .* set QFLARE_TEMPORAL_REDIS_URL/)
    for (const each of [...apis, again, workers[1] as (typeof workers)[number]]) await stop(each)
  })

  test.each([
    [
      'worker',
      ['database', 'clock', 'schedule', 'queues', 'custody', 'shutdown'],
      'qflare_sessions',
      'qflare_audit_log_size',
    ],
    ['sequencer', ['database', 'clock', 'auditLog', 'shutdown'], 'qflare_audit_log_size', 'qflare_sessions'],
  ])(
    'a %s without the API says on its operator port how it is, and what it measures',
    async (role, parts, shown, not) => {
      const process = spawnService(await makeTestFolder(), { ...env, QFLARE_ROLES: role, QFLARE_OPERATOR_PORT: '0' })
      await process.said(READY)
      const url = /health and metrics at (http:[^"]+)/.exec(process.output.stdout)?.[1] as string
      await isReady(url)
      const ready = await readiness(url)
      expect(Object.keys(ready.checks).toSorted()).toEqual(parts.toSorted())
      expect((await call({ url }, 'GET', '/live')).body).toEqual({ status: 'live' })
      const metrics: string = (await call({ url }, 'GET', '/metrics')).body
      for (const part of parts) expect(metrics).toContain(`qflare_ready{part="${part}"} 1`)
      expect(metrics).toMatch(new RegExp(`^${shown}[ {]`, 'm'))
      // What another process measures is not 0 here.
      expect(metrics).not.toMatch(new RegExp(`^${not}[ {]`, 'm'))
      expect(metrics).toContain(`qflare_db_pool_connections{db_role="${role}",state="total"}`)
      expectRefusal(await call({ url }, 'GET', '/v1/buckets'), 404, 'not_found')
      expectRefusal(await call({ url }, 'GET', '/admin/queues'), 404, 'not_found')
      await stop(process)
    },
  )

  test('a Redis that writes to a disk is refused at the start', async () => {
    const persistent = await startTestRedis({ appendonly: 'yes' })
    const refused = spawnService(await makeTestFolder(), { ...env, QFLARE_TEMPORAL_REDIS_URL: persistent.url })
    expect(await refused.ended()).toBe(1)
    expect(refused.output.stderr).toMatch(
      /^QFLARE did not start: QFLARE_TEMPORAL_REDIS_URL: .* its appendonly is "yes"/,
    )
    await persistent.stop()
  })
})
