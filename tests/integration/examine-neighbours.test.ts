import { Client, type ClientConfig } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { examineNeighbours } from '../../operations/examine/examine-neighbours.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const examine = async () =>
  (await examineNeighbours(database.superuser)).map(({ part, level, message }) => `${level}: ${part}: ${message}`)

async function connectAs(name: string, more: object = {}): Promise<Client> {
  const client = new Client({ ...database.superuser, application_name: name, ...more } as ClientConfig)
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

describe('qflare doctor, of who else works on the database', () => {
  test('counts the processes, and says when none of them is the sequencer', async () => {
    expect(await examine()).toContainEqual('ok: replicas: no server follows this PostgreSQL')
    await connectAs('qflare_claim')
    expect(await examine()).toContainEqual(expect.stringMatching(/^problem: processes: .*no process is the sequencer/))
    await connectAs('qflare_sequencer_lock')
    expect(await examine()).toContainEqual(expect.stringMatching(/^ok: processes: .*there is a sequencer/))
  })

  test('says which server follows and how far behind it is', async () => {
    const follower = await connectAs('standby-north', { replication: 'true' })
    const at = (await database.sql.query('select pg_current_wal_lsn() as at')).rows[0].at
    void follower.query(`START_REPLICATION ${at}`).catch(() => undefined)
    await expect.poll(examine).toContainEqual(expect.stringMatching(/: replicas: standby-north follows \(streaming\)/))
  })

  test('says that write-ahead log is kept for a follower who is not there', async () => {
    await database.sql.query(`select pg_create_physical_replication_slot('gone', true)`)
    const found = await examine()
    await database.sql.query(`select pg_drop_replication_slot('gone')`)
    expect(found).toContainEqual(expect.stringMatching(/^warning: replicas: nobody follows by the slot gone/))
  })
})
