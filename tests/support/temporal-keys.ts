import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Database } from '../../database/open.ts'
import { listKeks } from '../../database/repositories/service-keys.ts'
import { listActiveSigningKeys } from '../../database/repositories/signing-keys.ts'
import { BUCKET_MS, bucketAt } from '../../protocol/exchange/bucket.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { openServiceKeys, type ServiceKeys } from '../../runtime/custody/service-keys.ts'
import { createRootKeyWrapper } from '../../runtime/custody/wrapper.ts'
import { openFileTemporalKeyStore } from '../../runtime/temporal/file-temporal-key-store.ts'
import type { TemporalKeyName, TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import { initializeKeys } from '../../workers/initialize-service.ts'
import { type DestructionLimit, destroyTemporalKeys } from '../../workers/jobs/destroy-temporal-keys.ts'
import { type MakeTemporalKeysParts, makeTemporalKeys } from '../../workers/jobs/make-temporal-keys.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'
import { crypto } from './service.ts'

/** The bucket that it is in these tests, by the clock that they pass to the jobs. */
export const bucket = bucketAt(Date.now())
export const start = bucket * BUCKET_MS
export const middle = start + BUCKET_MS / 2
export const unlimited: DestructionLimit = { allow: (below) => below }

export const nameOf = ({ kind, number, generation }: TemporalKeyName) => `${kind}-${number}-${generation}`
/** Names of keys by their distance from `bucket`. */
export const epochName = (offset: number, generation = 0) =>
  nameOf({ kind: 'epoch', number: bucket + offset, generation })
export const keyName = (offset: number, generation = 0) =>
  nameOf({ kind: 'bucket', number: bucket + offset, generation })
export const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

export interface KeyEvent {
  type: string
  subject: TemporalKeyName
  data: { recordHash: string; how?: string; sessions?: number }
}

/** A database with the keys of the service, and worker processes on it. */
export interface KeySchedule {
  database: TestDatabase
  serviceKeys: ServiceKeys
  /** Before each test: no temporal key, and an empty store in a folder of its own. */
  begin(): Promise<{ folder: string; store: TemporalKeyStore }>
  /** One of three processes, each with its own connections. */
  worker(number?: 0 | 1 | 2): MakeTemporalKeysParts
  /** A process that ends when it has changed the store and is about to record that. */
  crashingWorker(): MakeTemporalKeysParts
  /** Names, sorted. */
  make(now?: number, worker?: MakeTemporalKeysParts): Promise<string[]>
  destroy(
    now: number,
    limit?: DestructionLimit,
    worker?: MakeTemporalKeysParts,
    /** By the machine's clock. */
    machineNow?: number,
  ): Promise<{ destroyed: string[]; isHeldBack: boolean }>
  inStore(): Promise<string[]>
  listEvents(type: 'made' | 'destroyed' | 'unknown_destroyed'): Promise<KeyEvent[]>
}

export async function openKeySchedule(): Promise<KeySchedule> {
  const database = await createTestDatabase()
  const pools = [0, 1, 2].map(() => database.open('qflare_worker', 2)) as [Database, Database, Database]
  const writeEvent = createEventWriter(crypto)
  const wrapper = createRootKeyWrapper(crypto, crypto.randomBytes(32))
  const begun = { trustDomain: 'test.example', profile: 'default' } as const
  await initializeKeys({ database: pools[0], wrapper, crypto, writeEvent }, begun, middle)
  const stored = await pools[0].withoutOrganization(async (tx) => ({
    keks: await listKeks(tx),
    signingKeys: await listActiveSigningKeys(tx),
  }))
  const serviceKeys = await openServiceKeys(crypto, wrapper, stored)
  let folder = ''
  let store: TemporalKeyStore
  const worker = (number: 0 | 1 | 2 = 0) => ({ database: pools[number], store, ...serviceKeys, crypto, writeEvent })

  return {
    database,
    serviceKeys,
    worker,
    crashingWorker: () => ({
      ...worker(),
      writeEvent: () => {
        throw new Error('the process is gone')
      },
    }),
    async begin() {
      await database.sql.query('truncate temporal_key, bucket_certificate, audit_outbox')
      const made = await mkdtemp(join(tmpdir(), 'qflare-temporal-'))
      onTestFinished(() => rm(made, { recursive: true, force: true }))
      folder = made
      store = await openFileTemporalKeyStore(folder)
      return { folder, store }
    },
    async make(now = middle, parts = worker()) {
      return (await makeTemporalKeys(parts, now)).map(nameOf).sort()
    },
    async destroy(now, limit = unlimited, parts = worker(), machineNow = now) {
      const { destroyed, isHeldBack } = await destroyTemporalKeys(parts, limit, now, machineNow)
      return { destroyed: destroyed.map(nameOf).sort(), isHeldBack }
    },
    async inStore() {
      return (await readdir(folder)).sort()
    },
    async listEvents(type) {
      const { rows } = await database.sql.query<{ event: KeyEvent }>(
        'select entry::jsonb as event from audit_outbox order by seq',
      )
      return rows.map(({ event }) => event).filter((event) => event.type === `temporal_key.${type}`)
    },
  }
}
