import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import type { DatabaseRole } from '../../database/connect-roles.ts'
import { startEmbeddedPostgres } from '../../database/embedded.ts'
import { migrate } from '../../database/migrate.ts'
import { type Database, openDatabase } from '../../database/open.ts'
import { prepareEmbedded } from '../../database/prepare-embedded.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { openServiceKeys, type ServiceKeys } from '../../runtime/custody/service-keys.ts'
import { createRootKeyWrapper } from '../../runtime/custody/wrapper.ts'
import { openFileTemporalKeyStore } from '../../runtime/temporal/file-temporal-key-store.ts'
import { temporalKeyFolder } from '../../runtime/temporal/temporal-key-folder.ts'
import { initializeKeys } from '../../workers/initialize-service.ts'
import { makeSessionPartitions } from '../../workers/jobs/make-session-partitions.ts'
import type { MakeTemporalKeysParts } from '../../workers/jobs/make-temporal-keys.ts'
import { readServiceKeys } from '../../workers/open-service-keys.ts'

export interface Schedule extends AsyncDisposable {
  /** Of a worker. */
  parts: MakeTemporalKeysParts
  /** What signs the checkpoints of the log. */
  serviceKeys: ServiceKeys
  /** Ends with the schedule. */
  openAs(role: `qflare_${DatabaseRole}`, maxConnections: number): Database
  /** As the superuser. The caller ends it. */
  connectDatabase(): Promise<Client>
}

/** A database with the keys of a service and one organization, and a store: what the jobs work on, and nobody else beside them. */
export async function openSchedule(now: number): Promise<Schedule> {
  await using stack = new AsyncDisposableStack()
  const dataDirectory = await mkdtemp(join(tmpdir(), 'qflare-bench-'))
  // PostgreSQL runs as another user when root runs the bench.
  await chmod(dataDirectory, 0o711)
  stack.defer(() => rm(dataDirectory, { recursive: true, force: true }))
  const postgres = await startEmbeddedPostgres({ dataDirectory, log: () => {} })
  stack.defer(() => postgres.stop())
  const { login, superuser } = await prepareEmbedded(postgres)
  await migrate(superuser)
  const opened: Database[] = []
  stack.defer(async () => {
    for (const database of opened) await database.close()
  })
  const openAs: Schedule['openAs'] = (role, maxConnections) => {
    const database = openDatabase({ connection: login, role, maxConnections, onConnectionLost: () => {} })
    opened.push(database)
    return database
  }
  const database = openAs('qflare_worker', 2)
  const folder = await temporalKeyFolder(dataDirectory)
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const { parts, serviceKeys } = await openParts(database, folder, now)
  await makeSessionPartitions(database, now)
  const connectDatabase = async () => {
    const client = new Client(superuser)
    await client.connect()
    return client
  }
  const client = await connectDatabase()
  await client.query(`insert into organization (id, name, created_at) values (gen_random_uuid(), 'default', now())`)
  await client.end()
  const owned = stack.move()
  return { parts, serviceKeys, openAs, connectDatabase, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function openParts(
  database: Database,
  folder: string,
  now: number,
): Promise<Pick<Schedule, 'parts' | 'serviceKeys'>> {
  const crypto = createNativePrimitives()
  const writeEvent = createEventWriter(crypto)
  const wrapper = createRootKeyWrapper(crypto, crypto.randomBytes(32))
  const begun = { trustDomain: 'bench.example', profile: 'default' } as const
  await initializeKeys({ database, wrapper, crypto, writeEvent }, begun, now)
  const serviceKeys = await openServiceKeys(crypto, wrapper, await readServiceKeys(database))
  const { keyring, bucketSigner } = serviceKeys
  const store = await openFileTemporalKeyStore(folder)
  return { parts: { database, store, keyring, bucketSigner, crypto, writeEvent }, serviceKeys }
}
