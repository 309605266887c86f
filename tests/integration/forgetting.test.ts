import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientConfig } from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { inspectEmbedded } from '../../database/inspect-embedded.ts'
import { openLocalDatabase } from '../../operations/local-database.ts'
import { openCustody } from '../../operations/open-custody.ts'
import { BUCKET_MS, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { loadConfig } from '../../runtime/config.ts'
import { openFileTemporalKeyStore } from '../../runtime/temporal/file-temporal-key-store.ts'
import { listTemporalHomes } from '../../runtime/temporal/temporal-key-folder.ts'
import { openTemporalRecord } from '../../runtime/temporal/temporal-record.ts'
import { createTemporalKeys } from '../../server/services/temporal-keys.ts'
import { type Canary, createByteSearch } from '../support/byte-search.ts'
import { establishKnownSession, type KnownSession } from '../support/known-session.ts'
import { searchProcess, whyUnreadable } from '../support/process-memory.ts'
import { deriveServerKey } from '../support/server-keys.ts'
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

/** Of a whole service: one process with PostgreSQL and the store in its data folder. */
let folder: string
beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

test('after the grace of an epoch nothing that is left of a service opens a session in it, not even with the root key', async ({
  skip,
}) => {
  const clock = { NODE_OPTIONS: '--import ./tests/support/moving-clock.ts', TEST_CLOCK_STEP_MS: String(STEP_MS) }
  const service = spawnService(folder, { ...clock, QFLARE_CRYPTO: 'native' })
  const url = await service.ready()
  const why = whyUnreadable(service.processId)
  skip(why !== undefined, `the kernel does not show this user the memory of another process: ${why}`)
  const session = await establishKnownSession({ url, adminToken: await readAdminToken(folder) } as TestService)
  const { canaries, hashes } = await learnKeys(session)
  const superuser = await superuserOf(folder)

  // What is looked for can be found, in each place, and does open the session.
  expect(await openAsThief(session, superuser)).toEqual(session.key)
  expect(searchMemory(service.processId, canaries)).toEqual(
    expect.arrayContaining([`bucket key ${session.epoch} (raw)`, `epoch key ${session.epoch} (raw)`]),
  )
  expect(await searchTables(superuser, hashes)).toEqual(['hash of the record (base64)', 'hash of the record (hex)'])
  expect(await searchFiles(await pathsOf(superuser), hashes)).toContain('hash of the record (raw)')
  expect(await searchFiles([await storeFolder()], canaries)).toEqual([
    `bucket record ${session.epoch} (raw)`,
    `epoch record ${session.epoch} (raw)`,
  ])

  await passTime(service, session, superuser)
  await sleep(CACHES_END_MS)

  expect(searchMemory(service.processId, canaries)).toEqual([])
  expect(await searchTables(superuser, canaries)).toEqual([])
  expect(await searchFiles(await pathsOf(superuser), canaries)).toEqual([])
  expect(await searchFiles([await storeFolder()], canaries)).toEqual([])
  expect(searchText(service.output.stdout + service.output.stderr, canaries)).toEqual([])
  await expect(openAsThief(session, superuser)).rejects.toThrow('The server has no such session or epoch.')
  service.kill('SIGTERM')
  expect(await service.ended()).toBe(0)
})

/** To the end of the epoch and its grace, wherever in it we are. */
const STEP_MS = BUCKET_MS + GRACE_MS + 1_000
/** The API looks every second what it still holds. */
const CACHES_END_MS = 2_500

/** Once more where the service just measured its clock by that of the database, whose time is the real one. */
async function passTime(service: ServiceProcess, session: KnownSession, superuser: ClientConfig): Promise<void> {
  for (let steps = 0; steps < 5; steps++) {
    service.kill('SIGUSR2')
    for (let looks = 0; looks < 40; looks++) {
      if ((await countDestroyed(session, superuser)) === 2) return
      await sleep(250)
    }
  }
  throw new Error('the keys are not destroyed')
}

async function withCustody<T>(use: (parts: Parts) => Promise<T>): Promise<T> {
  const env = { QFLARE_DATA_DIR: folder }
  const config = loadConfig(env)
  await using local = await openLocalDatabase(config, 'current', () => {})
  const { serviceKeys } = await openCustody({ database: local.database, crypto, env, config })
  const store = await openFileTemporalKeyStore(await storeFolder())
  return await use({ database: local.database, store, keyring: serviceKeys.keyring })
}
type Parts = Pick<Parameters<typeof createTemporalKeys>[0], 'database' | 'store' | 'keyring'>

/** The keys of the session's first epoch and of its bucket, as they are and as they are sealed: the root key opens that too. */
function learnKeys({ epoch, secrets }: KnownSession): Promise<{ canaries: Canary[]; hashes: Canary[] }> {
  return withCustody(async ({ store, keyring }) => {
    const canaries = [...secrets]
    const hashes: Canary[] = []
    for (const kind of ['epoch', 'bucket'] as const) {
      const name = { kind, number: epoch, generation: 0 }
      const record = await store.find(name)
      if (record === undefined) throw new Error(`there is no ${kind} key ${epoch}`)
      canaries.push({ what: `${kind} key ${epoch}`, bytes: await openTemporalRecord(keyring, name, record) })
      canaries.push({ what: `${kind} record ${epoch}`, bytes: record })
      hashes.push({ what: 'hash of the record', bytes: crypto.hash256(record) })
    }
    return { canaries, hashes }
  })
}

/** With everything that the service has, its own code, and a clock that says that it is still time. */
async function openAsThief({ sessionId, epoch }: KnownSession, superuser: ClientConfig): Promise<Uint8Array> {
  const now = epoch * BUCKET_MS + 1
  const clock = { now: () => now, offsetMs: () => 0, measuredAt: () => now, measure: async () => {} }
  return withCustody(async (parts) => {
    const temporalKeys = createTemporalKeys({ ...parts, crypto, clock })
    try {
      const names = { sessionId, epoch, purpose: 'encryption' } as const
      return await withSql(superuser, (sql) => deriveServerKey({ database: { sql }, temporalKeys, crypto }, names))
    } finally {
      temporalKeys.close()
    }
  })
}

function searchMemory(processId: number, canaries: readonly Canary[]): string[] {
  const search = createByteSearch(canaries)
  expect(searchProcess(processId, search)).toBeGreaterThan(50 << 20)
  return search.found()
}

function searchText(text: string, canaries: readonly Canary[]): string[] {
  const search = createByteSearch(canaries)
  search.push(Buffer.from(text))
  return search.found()
}

/** Every column of every row of every table. */
async function searchTables(superuser: ClientConfig, canaries: readonly Canary[]): Promise<string[]> {
  const search = createByteSearch(canaries)
  await withSql(superuser, async (sql) => {
    const { rows } = await sql.query<{ name: string }>(
      `select oid::regclass::text as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
    )
    for (const { name } of rows) {
      const table = await sql.query<{ text: string }>(`select t::text as text from only ${name} t`)
      for (const { text } of table.rows) search.push(Buffer.from(`${text}\n`))
    }
    // What the server holds in memory goes to its files, which are looked at next.
    await sql.query('checkpoint')
  })
  return search.found()
}

/** With its write-ahead log. */
async function pathsOf(superuser: ClientConfig): Promise<string[]> {
  const { rows } = await withSql(superuser, (sql) =>
    sql.query<{ path: string }>(`select current_setting('data_directory') as path`),
  )
  return rows.map(({ path }) => path)
}

async function countDestroyed({ epoch }: KnownSession, superuser: ClientConfig): Promise<number> {
  const text = 'select from temporal_key where number = $1 and destroyed_at is not null'
  return (await withSql(superuser, (sql) => sql.query(text, [epoch]))).rowCount ?? 0
}

async function withSql<T>(superuser: ClientConfig, use: (sql: Client) => Promise<T>): Promise<T> {
  const sql = new Client(superuser)
  await sql.connect()
  try {
    return await use(sql)
  } finally {
    await sql.end()
  }
}

async function searchFiles(folders: readonly string[], canaries: readonly Canary[]): Promise<string[]> {
  const search = createByteSearch(canaries)
  for (const path of folders) {
    for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      search.cut()
      search.push(await readFile(join(entry.parentPath, entry.name)))
    }
  }
  return search.found()
}

async function storeFolder(): Promise<string> {
  const [home, ...others] = await listTemporalHomes(folder)
  if (home === undefined || others.length > 0) throw new Error('there is not one store')
  return home
}

async function superuserOf(dataDirectory: string): Promise<ClientConfig> {
  const found = await inspectEmbedded(dataDirectory)
  if (found.state !== 'running') throw new Error(`PostgreSQL is ${found.state}`)
  return found.superuser
}
