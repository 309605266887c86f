import { once } from 'node:events'
import { type AddressInfo, createServer, connect as openSocket, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Database, openDatabase, type Statement } from '../../database/open.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

/** A network between a process and PostgreSQL that can stop to deliver, without telling either end. */
interface Network {
  port: number
  /** Of the connections that are open now: nothing passes any more. New ones pass. */
  swallow(): void
  close(): Promise<void>
}

const ANSWER_WITHIN_MS = 400
const organizationId = '01900000-0000-7000-8000-000000000001'
const ping: Statement = { name: 'ping', text: 'select 1 as one', values: [] }
let database: TestDatabase
let network: Network

beforeAll(async () => {
  database = await createTestDatabase()
  network = await openNetwork(database.login.host as string, database.login.port as number)
})
afterAll(async () => {
  await network.close()
  await database.drop()
})

async function openNetwork(host: string, port: number): Promise<Network> {
  const pairs = new Set<[Socket, Socket]>()
  const server = createServer((near) => {
    const far = openSocket(host.startsWith('/') ? { path: join(host, `.s.PGSQL.${port}`) } : { host, port })
    pairs.add([near, far])
    for (const socket of [near, far]) socket.on('error', () => {})
    near.pipe(far).pipe(near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    swallow() {
      for (const [near, far] of pairs) {
        near.unpipe(far)
        far.unpipe(near)
        near.resume()
      }
    },
    async close() {
      for (const sockets of pairs) for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** One connection, so that what is done next meets the one that fell silent. */
function openThroughNetwork(): Database {
  const connection = { ...database.login, host: '127.0.0.1', port: network.port }
  const shared = { role: 'qflare_api', maxConnections: 1, answerWithinMs: ANSWER_WITHIN_MS, onConnectionLost: () => {} }
  const db = openDatabase({ connection, ...shared })
  onTestFinished(() => db.close())
  return db
}

const ways: [string, (db: Database) => Promise<unknown>][] = [
  ['sendTransaction', (db) => db.sendTransaction({ organizationId }, [ping])],
  ['withOrganization', (db) => db.withOrganization(organizationId, (tx) => tx.selectFrom('directory').execute())],
  ['readClock', (db) => db.readClock()],
]

test.each(ways)('a connection that fell silent makes %s unavailable, and is never used again', async (_name, work) => {
  const db = openThroughNetwork()
  await work(db)
  network.swallow()
  await expect(work(db)).rejects.toMatchObject({ code: 'unavailable' })
  await work(db)
  for (const [, otherWork] of ways) await otherWork(db)
})

test('statements that another connection’s change of the schema made stale fail once at most', async () => {
  const db = openThroughNetwork()
  await database.sql.query('create table stale (one integer); grant select on stale to qflare_api')
  const all: Statement = { name: 'all_stale', text: 'select * from stale', values: [] }
  await db.sendTransaction({ organizationId }, [all])
  await database.sql.query('alter table stale add column two integer')
  await db.sendTransaction({ organizationId }, [all]).catch(() => {})
  await expect(db.sendTransaction({ organizationId }, [all])).resolves.toHaveLength(2)
})

test('statements that a connection lost are prepared anew', async () => {
  const db = openThroughNetwork()
  await db.sendTransaction({ organizationId }, [ping])
  await db.sendTransaction({ organizationId }, [{ name: 'forget', text: 'deallocate all', values: [] }]).catch(() => {})
  await db.sendTransaction({ organizationId }, [ping]).catch(() => {})
  await expect(db.sendTransaction({ organizationId }, [ping])).resolves.toHaveLength(2)
})
