import type { ClientConfig } from 'pg'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { inspectEmbedded } from '../../database/inspect-embedded.ts'
import { openLocalDatabase } from '../../operations/local-database.ts'
import { openCustody } from '../../operations/open-custody.ts'
import { loadConfig } from '../../runtime/config.ts'
import { openFileTemporalKeyStore } from '../../runtime/temporal/file-temporal-key-store.ts'
import { listTemporalHomes } from '../../runtime/temporal/temporal-key-folder.ts'
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
import { whyUnreadable } from '../support/process-memory.ts'
import { searchDatabaseFiles, searchFiles, searchMemory, searchTables, searchText } from '../support/search-places.ts'
import { crypto, type TestService } from '../support/service.ts'
import {
  makeServiceFolder,
  readAdminToken,
  removeServiceFolder,
  type ServiceProcess,
  spawnService,
} from '../support/service-process.ts'

// A process of its own, whose clock goes forward by five minutes, and all of its memory read twice.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

/** At least; more for longer runs: tests/reliability/forget-rounds.ts. */
const SESSIONS = Number(process.env['FORGOTTEN_SESSIONS'] ?? 150)

describe('after the grace of an epoch nothing that is left of a service opens a session in it, not even with the root key', () => {
  /** Of a whole service: one process with PostgreSQL and the store in its data folder. */
  let folder: string
  let service: ServiceProcess
  let api: TestService
  let superuser: ClientConfig
  beforeEach(async ({ skip }) => {
    folder = await makeServiceFolder()
    service = spawnService(folder, { ...movingClock, QFLARE_LIMIT_DEVICE: '0' })
    const url = await service.ready()
    const why = whyUnreadable(service.processId)
    skip(why !== undefined, `the kernel does not show this user the memory of another process: ${why}`)
    api = { url, adminToken: await readAdminToken(folder) } as TestService
    superuser = await superuserOf(folder)
  })
  afterEach(() => removeServiceFolder(folder))

  async function expectNothingLeft(canaries: readonly Canary[]): Promise<void> {
    expect(searchMemory(service.processId, canaries).foundAt()).toEqual([])
    expect((await searchTables(superuser, canaries)).foundAt()).toEqual([])
    expect((await searchDatabaseFiles(superuser, canaries)).foundAt()).toEqual([])
    expect((await searchFiles([await storeFolder(folder)], canaries)).foundAt()).toEqual([])
    expect(searchText(service.output.stdout + service.output.stderr, canaries).foundAt()).toEqual([])
  }

  test('with one session', async () => {
    const session = await establishKnownSession(api)
    const { canaries, hashes } = await withCustody(folder, (parts) => learnKeys(parts, session.epoch))
    const openSession = () => withCustody(folder, (parts) => openAsThief(parts, superuser, session))

    // What is looked for can be found, in each place, and does open the session.
    expect(await openSession()).toEqual(session.key)
    expect(searchMemory(service.processId, canaries).found()).toEqual(
      expect.arrayContaining(['bucket key (raw)', 'epoch key (raw)']),
    )
    const found = ['hash of the record (base64)', 'hash of the record (hex)']
    expect((await searchTables(superuser, hashes)).found()).toEqual(found)
    expect((await searchDatabaseFiles(superuser, hashes)).found()).toContain('hash of the record (raw)')
    expect((await searchFiles([await storeFolder(folder)], canaries)).found()).toEqual([
      'bucket record (raw)',
      'epoch record (raw)',
    ])

    await passTime([service], superuser, session.epoch)
    await waitForCaches(api)
    await expectNothingLeft([...canaries, ...session.secrets])
    await expect(openSession()).rejects.toThrow('The server has no such session or epoch.')
    service.kill('SIGTERM')
    expect(await service.ended()).toBe(0)
  })

  test('with many, and exchanges under way in the moment that it ends', async () => {
    const { epoch } = await establishKnownSession(api)
    const { canaries } = await withCustody(folder, (parts) => learnKeys(parts, epoch))
    const traffic = await startKnownTraffic(api, epoch)
    await traffic.reach(SESSIONS)
    traffic.expectRefusals()
    await passTime([service], superuser, epoch)
    const { secrets } = await traffic.stop()
    await waitForCaches(api)
    await expectNothingLeft([...canaries, ...secrets])
  })
})

async function withCustody<T>(folder: string, use: (parts: StolenParts) => Promise<T>): Promise<T> {
  const env = { QFLARE_DATA_DIR: folder }
  const config = loadConfig(env)
  await using local = await openLocalDatabase(config, 'current', () => {})
  const { serviceKeys } = await openCustody({ database: local.database, crypto, env, config })
  const store = await openFileTemporalKeyStore(await storeFolder(folder))
  return await use({ database: local.database, store, keyring: serviceKeys.keyring })
}

async function storeFolder(folder: string): Promise<string> {
  const [home, ...others] = await listTemporalHomes(folder)
  if (home === undefined || others.length > 0) throw new Error('there is not one store')
  return home
}

async function superuserOf(dataDirectory: string): Promise<ClientConfig> {
  const found = await inspectEmbedded(dataDirectory)
  if (found.state !== 'running') throw new Error(`PostgreSQL is ${found.state}`)
  return found.superuser
}
