import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { ClientConfig } from 'pg'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { startEmbeddedPostgres } from '../../database/embedded.ts'
import { openLocalDatabase } from '../../operations/local-database.ts'
import { openCustody } from '../../operations/open-custody.ts'
import { loadConfig } from '../../runtime/config.ts'
import { createLogger } from '../../runtime/logger.ts'
import { openTemporalKeyStore } from '../../runtime/temporal/open-temporal-key-store.ts'
import type { Canary } from '../support/byte-search.ts'
import {
  learnKeys,
  movingClock,
  openAsThief,
  passTime,
  type StolenParts,
  waitForCaches,
} from '../support/forgetting.ts'
import { establishKnownSession } from '../support/known-session.ts'
import { startKnownTraffic } from '../support/known-traffic.ts'
import { makeTestFolder } from '../support/operations.ts'
import { loginsOf, prepareOwnPostgres } from '../support/own-postgres.ts'
import { whyUnreadable } from '../support/process-memory.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'
import { searchDatabaseFiles, searchMemory, searchTables, searchText } from '../support/search-places.ts'
import { crypto, type TestService } from '../support/service.ts'
import {
  makeServiceFolder,
  readAdminToken,
  removeServiceFolder,
  type ServiceProcess,
  spawnService,
} from '../support/service-process.ts'

// Processes of their own, whose clocks go forward by five minutes, and all of their memory read twice.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 150_000 })

/** At least; more for longer runs: tests/reliability/forget-rounds.ts. */
const SESSIONS = Number(process.env['FORGOTTEN_SESSIONS'] ?? 100)

describe.skipIf(!hasRedis)('after the grace of an epoch nothing that is left opens a session', () => {
  let env: Record<string, string>
  /** Of the worker. */
  let home: string
  let redis: TestRedis
  let superuser: ClientConfig
  let processes: Record<'api' | 'worker' | 'sequencer', ServiceProcess>
  let service: TestService
  beforeEach(async ({ skip }) => {
    const folder = await makeServiceFolder()
    onTestFinished(() => removeServiceFolder(folder))
    const postgres = await startEmbeddedPostgres({ dataDirectory: folder, log: () => {} })
    onTestFinished(() => postgres.stop())
    await prepareOwnPostgres(postgres)
    const { host, superuserPassword: password } = postgres
    superuser = { host, user: 'postgres', password, database: 'service' }
    redis = await startTestRedis()
    onTestFinished(() => redis.stop())
    env = {
      ...loginsOf(postgres),
      QFLARE_TEMPORAL_REDIS_URL: redis.url,
      QFLARE_CHECKPOINT_FILE: join(folder, 'audit-checkpoint'),
      QFLARE_ROOT_KEY: randomBytes(32).toString('hex'),
    }
    const spawn = async (roles: string) => {
      const settings = { ...env, ...movingClock, QFLARE_ROLES: roles, QFLARE_LIMIT_DEVICE: '0' }
      const ownHome = await makeTestFolder()
      return { home: ownHome, process: spawnService(ownHome, settings) }
    }
    const [api, worker, sequencer] = await Promise.all([spawn('api'), spawn('worker'), spawn('sequencer')])
    processes = { api: api.process, worker: worker.process, sequencer: sequencer.process }
    home = worker.home
    // With keys made ahead.
    const isReady = () => expect(worker.process.output.stdout).toMatch(/ready at no address/)
    await vi.waitFor(isReady, { timeout: 90_000, interval: 50 })
    const url = await api.process.ready()
    const why = whyUnreadable(redis.processId())
    skip(why !== undefined, `the kernel does not show this user the memory of another process: ${why}`)
    service = { url, adminToken: await readAdminToken(home) } as TestService
  })

  function memories(): [string, number][] {
    const ours = Object.entries(processes).map(([name, { processId }]) => [name, processId] as [string, number])
    return [...ours, ['redis', redis.processId()]]
  }
  async function withCustody<T>(use: (parts: StolenParts) => Promise<T>): Promise<T> {
    const config = loadConfig({ ...env, QFLARE_DATA_DIR: home })
    await using stack = new AsyncDisposableStack()
    const local = stack.use(await openLocalDatabase(config, 'current', () => {}))
    const { serviceKeys } = await openCustody({ database: local.database, crypto, env, config })
    const store = await openTemporalKeyStore(config, serviceKeys.rootKid, createLogger('silent'), stack)
    return await use({ database: local.database, store, keyring: serviceKeys.keyring })
  }
  async function expectNothingLeft(canaries: readonly Canary[]): Promise<void> {
    const left = memories().map(([name, id]) => [name, searchMemory(id, canaries).foundAt()])
    expect(Object.fromEntries(left)).toEqual({ api: [], worker: [], sequencer: [], redis: [] })
    expect((await searchTables(superuser, canaries)).foundAt()).toEqual([])
    expect((await searchDatabaseFiles(superuser, canaries)).foundAt()).toEqual([])
    for (const { output } of Object.values(processes)) {
      expect(searchText(output.stdout + output.stderr, canaries).foundAt()).toEqual([])
    }
  }

  test('of many in processes of their own, with temporal keys in a Redis', async () => {
    const session = await establishKnownSession(service)
    const { epoch } = session
    const { canaries } = await withCustody((parts) => learnKeys(parts, epoch))
    const openSession = () => withCustody((parts) => openAsThief(parts, superuser, session))

    // What is looked for can be found in each of them that needs it, and does open the session.
    expect(await openSession()).toEqual(session.key)
    expect(searchMemory(processes.api.processId, canaries).found()).toEqual(
      expect.arrayContaining(['bucket key (raw)', 'epoch key (raw)']),
    )
    expect(searchMemory(redis.processId(), canaries).found()).toEqual(['bucket record (raw)', 'epoch record (raw)'])

    const traffic = await startKnownTraffic(service, epoch)
    await traffic.reach(SESSIONS)
    traffic.expectRefusals()
    await passTime(Object.values(processes), superuser, epoch)
    const { secrets } = await traffic.stop()
    await waitForCaches(service)
    await expectNothingLeft([...canaries, ...session.secrets, ...secrets])
    await expect(openSession()).rejects.toThrow('The server has no such session or epoch.')
  })
})
