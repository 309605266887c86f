import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { startEmbeddedPostgres } from '../../database/embedded.ts'
import { loginsOf, prepareOwnPostgres } from '../support/own-postgres.ts'
import { findFreePort, hasRedis, startTestRedis } from '../support/redis.ts'
import {
  makeServiceFolder,
  openAdmin,
  removeServiceFolder,
  type ServiceProcess,
  spawnService,
} from '../support/service-process.ts'

vi.setConfig({ testTimeout: 600_000, hookTimeout: 60_000 })

const DEVICES = 6
/** The keys that were lost are made anew within half of it. */
const MENDED_WITHIN_MS = 60_000
const WITHIN = { timeout: MENDED_WITHIN_MS, interval: 200 }

/** Everything on one PostgreSQL: two API processes, two workers of which one sequences, and both Redis. */
async function startFleet() {
  const folders = await Promise.all(Array.from({ length: 5 }, makeServiceFolder))
  const [server, ...homes] = folders as [string, ...string[]]
  const postgres = await startEmbeddedPostgres({ dataDirectory: server, log: () => undefined })
  await prepareOwnPostgres(postgres)
  const [temporal, queues] = [await startTestRedis(), await startTestRedis()]
  onTestFinished(async () => {
    await Promise.all([temporal.stop(), queues.stop(), postgres.stop()])
    for (const folder of folders) await removeServiceFolder(folder)
  })
  const env = {
    ...loginsOf(postgres),
    REDIS_URL: queues.url,
    QFLARE_TEMPORAL_REDIS_URL: temporal.url,
    QFLARE_CHECKPOINT_FILE: join(server, 'audit-checkpoint'),
    QFLARE_ROOT_KEY: randomBytes(32).toString('hex'),
  }
  const ports = [await findFreePort(), await findFreePort()]
  const starts = [
    () => spawnService(homes[0] as string, { ...env, QFLARE_ROLES: 'worker,sequencer' }),
    () => spawnService(homes[1] as string, { ...env, QFLARE_ROLES: 'worker' }),
    () => spawnService(homes[2] as string, { ...env, QFLARE_ROLES: 'api', PORT: String(ports[0]) }),
    () => spawnService(homes[3] as string, { ...env, QFLARE_ROLES: 'api', PORT: String(ports[1]) }),
  ]
  const processes: ServiceProcess[] = []
  for (const start of starts) {
    const started = start()
    await started.said(/"msg":"ready at/)
    processes.push(started)
  }
  return {
    postgres,
    temporal,
    queues,
    home: homes[0] as string,
    urls: ports.map((port) => `http://127.0.0.1:${port}`) as [string, string],
    async restart(index: number) {
      processes[index]?.kill('SIGKILL')
      await processes[index]?.ended()
      const again = (starts[index] as () => ServiceProcess)()
      await again.said(/"msg":"ready at/)
      processes[index] = again
    },
    async stop() {
      for (const each of processes) each.kill('SIGTERM')
      return Promise.all(processes.map((each) => each.ended()))
    },
  }
}

describe.skipIf(!hasRedis)('a fleet of processes under load', () => {
  test('loses no exchange that is tried again, no key and no event, whatever is killed', async () => {
    const fleet = await startFleet()
    const isReady = () =>
      vi.waitFor(async () => {
        for (const url of fleet.urls) expect((await fetch(`${url}/ready`)).status).toBe(200)
      }, WITHIN)
    await isReady()
    const admin = await openAdmin(fleet.urls[0], fleet.home)
    const established: string[] = []
    const stop = new AbortController()

    async function runDevice(index: number): Promise<void> {
      const url = fleet.urls[index % 2] as string
      const { token } = await admin.createEnrollmentToken({ kind: 'device' })
      const device = await enrollDevice({ url, token, store: createMemoryStore(), name: `edge ${index}` })
      while (!stop.signal.aborted) {
        const begun = performance.now()
        for (let waitMs = 50; ; waitMs = Math.min(2 * waitMs, 1_000)) {
          try {
            const { session } = await device.exchange()
            established.push(session?.sessionId ?? 'none')
            break
          } catch (error) {
            if (performance.now() > begun + MENDED_WITHIN_MS) throw error
            await sleep(waitMs)
          }
        }
        // Half of what a device may begin in a minute.
        await sleep(1_000)
      }
    }
    const running = Promise.all(Array.from({ length: DEVICES }, (_, index) => runDevice(index)))
    const goOn = async () => {
      const before = established.length
      await vi.waitFor(() => expect(established.length).toBeGreaterThan(before + 2 * DEVICES), WITHIN)
    }

    await goOn()
    await fleet.temporal.kill()
    await fleet.temporal.restart()
    await goOn()
    await isReady()
    await fleet.temporal.client.flushall()
    await goOn()
    await isReady()
    await fleet.queues.kill()
    await goOn()
    await fleet.queues.restart()
    await fleet.queues.client.flushall()
    await goOn()
    for (const index of [0, 2, 1, 3]) {
      await fleet.restart(index)
      await goOn()
    }
    await isReady()
    stop.abort()
    await running

    const { host, superuserPassword: password } = fleet.postgres
    const client = new Client({ host, user: 'postgres', password, database: 'service' })
    await client.connect()
    const { rows } = await client.query<{ id: string }>(
      `select event -> 'subject' ->> 'sessionId' as id
        from (select entry::jsonb as event from audit_outbox union all select entry::jsonb from audit_entry)
        where event ->> 'type' = 'session.established'`,
    )
    const { rows: lost } = await client.query('select from temporal_key where generation > 0')
    await client.end()
    expect(new Set(established).size).toBe(established.length)
    expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(established))
    expect(lost.length).toBeGreaterThan(0)
    expect(await fleet.stop()).toEqual([0, 0, 0, 0])
  })
})
