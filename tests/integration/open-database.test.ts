import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Database, openDatabase, type Statement, type Tx } from '../../database/open.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
const organizationId = randomUUID()
const scope = { organizationId }

beforeAll(async () => {
  database = await createTestDatabase()
  await database.sql.query(`insert into organization (id, name, created_at) values ($1, 'one', now())`, [
    organizationId,
  ])
})
afterAll(() => database.drop())

const insert = (id: string): Statement => ({
  name: 'insert_directory',
  text: 'insert into directory (id, organization_id) values ($1, $2)',
  values: [id, organizationId],
})
const find = (id: string): Statement => ({
  name: 'find_directory',
  text: 'select organization_id from directory where id = $1',
  values: [id],
})
const fail: Statement = { name: 'fail', text: 'select 1 / 0', values: [] }
const expectOne = (hits: number): Statement => ({ name: 'expect', text: 'select expect_one($1)', values: [hits] })
const pause = (seconds: number): Statement => ({ name: 'pause', text: 'select pg_sleep($1)', values: [seconds] })

async function isStored(id: string): Promise<boolean> {
  return (await database.sql.query('select from directory where id = $1', [id])).rowCount === 1
}

/** The processes of the server behind a pool of one. */
async function backendOf(db: Database): Promise<number> {
  const [, found] = await db.sendTransaction(scope, [
    { name: 'pid', text: 'select pg_backend_pid() as pid', values: [] },
  ])
  return found?.rows[0]?.pid
}

/** Ends the backend while it is in the middle of a statement that pauses. */
async function terminatePausing(processId: number): Promise<void> {
  const text = `select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and query like '%pg_sleep%'`
  while ((await database.sql.query(text, [processId])).rowCount === 0) await sleep(10)
}

describe('sendTransaction', () => {
  test('answers each statement in order, behind the organization', async () => {
    const api = database.open('qflare_api')
    const id = randomUUID()
    const answer = await api.sendTransaction(scope, [find(id), insert(id), find(id), find(randomUUID())])
    const found = { rows: [{ organization_id: organizationId }] }
    expect(answer).toEqual([organizationId, { rows: [] }, { rows: [] }, found, { rows: [] }])
    expect(await isStored(id)).toBe(true)
  })

  test('finds the organization of an id that the directory knows; that of an unknown id is empty', async () => {
    const api = database.open('qflare_api')
    const id = randomUUID()
    await api.sendTransaction(scope, [insert(id)])
    const seen: Statement = { name: 'seen', text: 'select name from organization', values: [] }
    const known = await api.sendTransaction({ organizationOf: id }, [seen])
    expect([known[0], known[1]?.rows]).toEqual([organizationId, [{ name: 'one' }]])
    const unknown = await api.sendTransaction({ organizationOf: randomUUID() }, [seen])
    expect([unknown[0], unknown[1]?.rows]).toEqual(['', []])
  })

  test('with a failing statement stores nothing, throws that failure, and leaves the connection usable', async () => {
    const api = database.open('qflare_api', 1)
    const processId = await backendOf(api)
    const [before, after] = [randomUUID(), randomUUID()]
    await expect(api.sendTransaction(scope, [insert(before), fail, insert(after)])).rejects.toThrow('division by zero')
    expect([await isStored(before), await isStored(after)]).toEqual([false, false])
    expect((await api.sendTransaction(scope, [insert(after)]))[0]).toBe(organizationId)
    expect(await backendOf(api)).toBe(processId)
  })

  test('that PostgreSQL could not even parse leaves the connection usable for the statements behind it', async () => {
    const api = database.open('qflare_api', 1)
    const id = randomUUID()
    const unknown: Statement = { name: 'unknown', text: 'select from no_such_table', values: [] }
    for (let i = 0; i < 2; i++) {
      const refused = api.sendTransaction(scope, [insert(id), unknown, find(id)])
      await expect(refused).rejects.toMatchObject({ message: expect.stringContaining('no_such_table') })
    }
    expect(await api.sendTransaction(scope, [find(id)])).toEqual([organizationId, { rows: [] }])
    await api.sendTransaction(scope, [insert(id)])
    expect(await isStored(id)).toBe(true)
  })

  test('refuses a name that stands for two texts, and a value that PostgreSQL has no text for', async () => {
    const api = database.open('qflare_api', 1)
    const [id, other] = [randomUUID(), randomUUID()]
    const twice = api.sendTransaction(scope, [insert(id), find(id), { ...find(id), text: 'select 1' }])
    await expect(twice).rejects.toThrow('The statement find_directory has two texts.')
    const bytes: Statement = { name: 'bytes', text: 'select $1::bytea[]', values: [[new Uint8Array(1)]] }
    await expect(api.sendTransaction(scope, [insert(id), bytes])).rejects.toThrow(TypeError)
    await api.sendTransaction(scope, [insert(other)])
    expect([await isStored(id), await isStored(other)]).toEqual([false, true])
  })

  test('whose failure comes with the commit stores nothing', async () => {
    await database.sql.query(`create table late (id uuid, references_id uuid references directory (id) initially deferred);
      alter table late owner to qflare_owner; grant insert on late to qflare_api`)
    const api = database.open('qflare_api', 1)
    const id = randomUUID()
    const late: Statement = { name: 'late', text: 'insert into late values ($1, $1)', values: [randomUUID()] }
    await expect(api.sendTransaction(scope, [insert(id), late])).rejects.toMatchObject({ code: '23503' })
    expect(await isStored(id)).toBe(false)
    await api.sendTransaction(scope, [insert(id)])
  })

  test('is condition_failed when expect_one does not hit one, and stores nothing', async () => {
    const api = database.open('qflare_api', 1)
    const id = randomUUID()
    for (const hits of [0, 2]) {
      const refused = api.sendTransaction(scope, [insert(id), expectOne(hits)])
      await expect(refused).rejects.toMatchObject({ name: 'DatabaseError', code: 'condition_failed' })
      expect(await isStored(id)).toBe(false)
    }
    await api.sendTransaction(scope, [insert(id), expectOne(1)])
    expect(await isStored(id)).toBe(true)
  })

  test('is duplicate when a key is taken, and stores nothing else', async () => {
    const api = database.open('qflare_api', 1)
    const [id, other] = [randomUUID(), randomUUID()]
    await api.sendTransaction(scope, [insert(id)])
    const refused = api.sendTransaction(scope, [insert(other), insert(id)])
    await expect(refused).rejects.toMatchObject({ name: 'DatabaseError', code: 'duplicate' })
    expect(await isStored(other)).toBe(false)
  })

  test('of which many share one connection do not mix, though every second one fails', async () => {
    const api = database.open('qflare_api', 1)
    const ids = Array.from({ length: 20 }, () => randomUUID())
    const sent = ids.map((id, i) => api.sendTransaction(scope, [insert(id), ...(i % 2 ? [fail] : []), find(id)]))
    const settled = await Promise.allSettled(sent)
    expect(settled.map(({ status }) => status)).toEqual(ids.map((_, i) => (i % 2 ? 'rejected' : 'fulfilled')))
    const { rows } = await database.sql.query('select id from directory where id = any ($1)', [ids])
    expect(new Set(rows.map(({ id }) => id))).toEqual(new Set(ids.filter((_, i) => i % 2 === 0)))
    expect(api.connections()).toEqual({ total: 1, idle: 1, waiting: 0 })
  })
})

describe('withOrganization whose statements are prepared', () => {
  const readName = async (tx: Tx) => (await sql`select * from versioned where id = ${1}::int`.execute(tx)).rows
  const listPrepared = async (tx: Tx) => {
    const { rows } = await sql`select from pg_prepared_statements where statement like '%versioned where%'`.execute(tx)
    return rows.length
  }

  test('parses each text once a connection; others keep none', async () => {
    await database.sql.query('create table versioned (id int); grant select on versioned to qflare_api')
    onTestFinished(async () => void (await database.sql.query('drop table versioned')))
    const api = database.open('qflare_api', 1)
    await api.withOrganization(organizationId, readName)
    expect(await api.withOrganization(organizationId, listPrepared)).toBe(0)
    for (let i = 0; i < 2; i++) await api.withOrganization(organizationId, readName, 'prepared')
    expect(await api.withOrganization(organizationId, listPrepared)).toBe(1)
  })

  test('fails once where one no longer fits the schema, and its connection is replaced', async () => {
    await database.sql.query('create table versioned (id int); grant select on versioned to qflare_api')
    onTestFinished(async () => void (await database.sql.query('drop table versioned')))
    const api = database.open('qflare_api', 1)
    const processId = await backendOf(api)
    await api.withOrganization(organizationId, readName, 'prepared')
    await database.sql.query('alter table versioned add name text')
    await expect(api.withOrganization(organizationId, readName, 'prepared')).rejects.toMatchObject({ code: '0A000' })
    expect(await api.withOrganization(organizationId, readName, 'prepared')).toEqual([])
    expect(await backendOf(api)).not.toBe(processId)
  })
})

describe('a connection that breaks in the middle', () => {
  test('of sendTransaction is unavailable, stores nothing, and is replaced', async () => {
    const api = database.open('qflare_api', 1)
    const processId = await backendOf(api)
    const id = randomUUID()
    const broken = api.sendTransaction(scope, [insert(id), pause(30), find(id)]).catch((error: unknown) => error)
    await terminatePausing(processId)
    expect(await broken).toMatchObject({ name: 'DatabaseError', code: 'unavailable' })
    // at once: the next borrower must not get what is left of it
    expect(await backendOf(api)).not.toBe(processId)
    expect(await isStored(id)).toBe(false)
    expect(api.connections()).toEqual({ total: 1, idle: 1, waiting: 0 })
  })

  test('of withOrganization is unavailable, stores nothing, and is replaced', async () => {
    const api = database.open('qflare_api', 1)
    const processId = await backendOf(api)
    const id = randomUUID()
    const broken = api
      .withOrganization(organizationId, async (tx) => {
        await tx.insertInto('directory').values({ id, organization_id: organizationId }).execute()
        await sql`select pg_sleep(30)`.execute(tx)
      })
      .catch((error: unknown) => error)
    await terminatePausing(processId)
    expect(await broken).toMatchObject({ name: 'DatabaseError', code: 'unavailable' })
    // at once: the next borrower must not get what is left of it
    expect(await backendOf(api)).not.toBe(processId)
    expect(await isStored(id)).toBe(false)
  })

  test('while it is idle is told once, and the next transaction has another', async () => {
    const lost: string[] = []
    const { login } = database
    const onConnectionLost = (error: Error) => void lost.push(error.message)
    const api = openDatabase({ connection: login, role: 'qflare_api', maxConnections: 1, onConnectionLost })
    onTestFinished(() => api.close())
    const processId = await backendOf(api)
    await database.sql.query('select pg_terminate_backend($1)', [processId])
    while (lost.length === 0) await sleep(10)
    expect(await backendOf(api)).not.toBe(processId)
    expect(lost).toHaveLength(1)
  })
})

test('without a free connection within five seconds everything is unavailable, and works again afterwards', async () => {
  const api = database.open('qflare_api', 1)
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { promise: held, resolve: hold } = Promise.withResolvers<void>()
  const holding = api.withOrganization(organizationId, () => {
    hold()
    return released
  })
  await held
  const unavailable = { name: 'DatabaseError', code: 'unavailable' }
  await Promise.all([
    expect(api.sendTransaction(scope, [])).rejects.toMatchObject(unavailable),
    expect(api.withOrganization(organizationId, async () => {})).rejects.toMatchObject(unavailable),
    expect(api.readClock()).rejects.toMatchObject(unavailable),
  ])
  release()
  await holding
  expect((await api.sendTransaction(scope, []))[0]).toBe(organizationId)
})

test('a server that is not there is unavailable', async () => {
  const connection = { ...database.login, host: '/nonexistent' }
  const api = openDatabase({ connection, role: undefined, maxConnections: 1, onConnectionLost: () => {} })
  onTestFinished(() => api.close())
  await expect(api.sendTransaction(scope, [])).rejects.toMatchObject({ code: 'unavailable' })
  await expect(api.readClock()).rejects.toMatchObject({ code: 'unavailable' })
})

describe('withOrganization', () => {
  test('stores what the work did when it resolves, and nothing when it throws', async () => {
    const api = database.open('qflare_api')
    const [kept, lost] = [randomUUID(), randomUUID()]
    const store = (id: string, error?: Error) =>
      api.withOrganization(organizationId, async (tx) => {
        await tx.insertInto('directory').values({ id, organization_id: organizationId }).execute()
        if (error !== undefined) throw error
        return id
      })
    expect(await store(kept)).toBe(kept)
    await expect(store(lost, new Error('of the caller'))).rejects.toThrow('of the caller')
    expect([await isStored(kept), await isStored(lost)]).toEqual([true, false])
    await expect(store(kept)).rejects.toMatchObject({ code: 'duplicate' })
  })

  test('reads a bigint as a number and a point in time as milliseconds, in every time zone of the server', async () => {
    await database.sql.query(`alter database ${database.login.database} set timezone = 'Asia/Kathmandu'`)
    const api = database.open('qflare_api', 1)
    const text = `select 9007199254740991 as big, '2026-11-22 06:40:24.123+00'::timestamptz as at,
      '1969-12-31 23:59:59.999+00'::timestamptz as before_epoch, '2026-11-22 06:40:24+05:45'::timestamptz as whole`
    const { rows } = await api.withoutOrganization((tx) => sql.raw(text).execute(tx))
    expect(rows).toEqual([
      {
        big: Number.MAX_SAFE_INTEGER,
        at: Date.UTC(2026, 10, 22, 6, 40, 24, 123),
        before_epoch: -1,
        whole: Date.UTC(2026, 10, 22, 0, 55, 24),
      },
    ])
  })
})

test('readClock is the server’s clock in milliseconds', async () => {
  const api = database.open('qflare_api')
  const [before, clock, after] = [Date.now(), await api.readClock(), Date.now()]
  expect(clock).toBeGreaterThan(before - 5)
  expect(clock).toBeLessThan(after + 5)
})
