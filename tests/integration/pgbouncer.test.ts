import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { sql as kysely } from 'kysely'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { databaseRoles } from '../../database/connect-roles.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../database/embedded.ts'
import { tryHoldLock } from '../../database/hold-lock.ts'
import { migrate } from '../../database/migrate.ts'
import { type Database, openDatabase } from '../../database/open.ts'
import type { Finding } from '../../operations/examine/finding.ts'
import { call } from '../support/api.ts'
import {
  askInterleaved,
  failAndLookAgain,
  makeOrganizations,
  type Organization,
} from '../support/interleaved-organizations.ts'
import { makeTestFolder, operate, operateJson, stop } from '../support/operations.ts'
import { loginsOf, prepareOwnPostgres } from '../support/own-postgres.ts'
import { hasPgbouncer, startTestPgbouncer, type TestPgbouncer } from '../support/pgbouncer.ts'
import { enrollClient, makeServiceFolder, removeServiceFolder, spawnService } from '../support/service-process.ts'

// Each step is a process of its own, and some are services.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

const POOL_SIZE = 2
const passwordOf = (role: string) => `secret-of-${role}`

describe.skipIf(!hasPgbouncer)('behind PgBouncer in transaction mode, with two connections for each login', () => {
  let server: string
  let postgres: EmbeddedPostgres
  let pgbouncer: TestPgbouncer
  let env: Record<string, string>
  let superuser: Client

  beforeAll(async () => {
    server = await makeServiceFolder()
    postgres = await startEmbeddedPostgres({ dataDirectory: server, log: () => undefined })
    await prepareOwnPostgres(postgres)
    const passwords = Object.fromEntries(
      [...databaseRoles, 'migrator'].map((role) => [`${role}_login`, passwordOf(role)]),
    )
    pgbouncer = await startTestPgbouncer(postgres, passwords, POOL_SIZE)
    const direct = loginsOf(postgres)
    env = {
      ...direct,
      DATABASE_URL: pooled('api'),
      QFLARE_DATABASE_URL_AUDITOR: pooled('auditor'),
      QFLARE_DATABASE_URL_WORKER: pooled('worker'),
      QFLARE_DATABASE_URL_SEQUENCER: pooled('sequencer'),
      QFLARE_DATABASE_URL_DIRECT: direct['DATABASE_URL'] as string,
      QFLARE_CHECKPOINT_FILE: join(server, 'audit-checkpoint'),
      QFLARE_ROOT_KEY: randomBytes(32).toString('hex'),
    }
    superuser = new Client(asSuperuser('postgres'))
    await superuser.connect()
  })
  afterAll(async () => {
    await superuser.end()
    await pgbouncer.stop()
    await postgres.stop()
    await removeServiceFolder(server)
  })

  const pooled = (role: string, database?: string) => pgbouncer.urlOf(`${role}_login`, passwordOf(role), database)
  const asSuperuser = (database: string) => {
    const { host, superuserPassword: password } = postgres
    return { host, user: 'postgres', password, database }
  }

  /** Of PostgreSQL's own. */
  async function countConnections(login: string): Promise<number> {
    const { rows } = await superuser.query<{ count: number }>(
      'select count(*)::int as count from pg_stat_activity where usename = $1',
      [login],
    )
    return rows[0]?.count ?? 0
  }

  test('the service starts, a device exchanges again and again, the log has it, and the doctor finds nothing', async () => {
    const folder = await makeTestFolder()
    const service = spawnService(folder, env)
    const url = await service.ready()
    const devices = await Promise.all(Array.from({ length: 8 }, () => enrollClient(url, folder)))
    for (const device of devices) {
      const { session } = await device.exchange()
      await device.exchange()
      expect(session).toBeDefined()
    }
    await vi.waitFor(
      async () => expect((await call({ url }, 'GET', '/ready')).body).toMatchObject({ status: 'ready' }),
      { timeout: 30_000, interval: 100 },
    )
    // two more are PostgreSQL's own: the claim of the database and the lock of the sequencer
    expect(await countConnections('api_login')).toBeLessThanOrEqual(POOL_SIZE + 2)
    const doctor = await operate(folder, ['doctor', '--json', '--at', url], env)
    const { findings } = JSON.parse(doctor.stdout) as { findings: Finding[] }
    expect(findings.filter(({ level }) => level === 'problem' || level === 'warning')).toEqual([])
    await operateJson(folder, ['admin-token', 'recover'], env)
    await stop(service)
    expect(service.output.stdout).not.toMatch(/"level":"(warn|error)"/)
    expect(await operateJson(folder, ['audit', 'check'], env)).toMatchObject({ differences: [] })
  })

  describe('organizations', () => {
    let api: Database
    let organizations: Organization[]
    let sql: Client

    beforeAll(async () => {
      await superuser.query('create database tenants owner qflare_owner')
      await superuser.query(`alter database tenants set timezone = 'Asia/Kolkata'`)
      const { host } = postgres
      await migrate({ host, user: 'migrator_login', password: passwordOf('migrator'), database: 'tenants' })
      sql = new Client(asSuperuser('tenants'))
      await sql.connect()
      organizations = await makeOrganizations(sql)
      const connection = { connectionString: pooled('api', 'tenants') }
      api = openDatabase({
        connection,
        role: undefined,
        isPooled: true,
        maxConnections: 20,
        onConnectionLost: () => {},
      })
    })
    afterAll(async () => {
      await api.close()
      await sql.end()
    })

    test('see no foreign row in 1,000 interleaved requests over two connections, though some fail', async () => {
      expect(await askInterleaved(api, organizations)).toEqual([])
      expect(api.connections().total).toBe(20)
      const { rows } = await sql.query(
        `select pid from pg_stat_activity where usename = 'api_login' and datname = 'tenants'`,
      )
      expect(rows).toHaveLength(POOL_SIZE)
    })

    test('find nothing that a failed transaction has left', () => failAndLookAgain(api, organizations, sql))

    test('leave no setting and nothing prepared on a connection that others get next', async () => {
      await askInterleaved(api, organizations)
      const look = new Client({ connectionString: pooled('api', 'tenants') })
      await look.connect()
      onTestFinished(() => look.end())
      const { rows } = await look.query(
        `select current_setting('qflare.organization_id', true) as organization, current_setting('statement_timeout') as timeout,
          (select count(*)::int from pg_prepared_statements) as prepared`,
      )
      expect(rows).toEqual([{ organization: '', timeout: '0', prepared: 0 }])
    })

    test('have what every other connection has: limits of time, and times in UTC', async () => {
      const [organization] = organizations as [Organization]
      const text = `select current_setting('timezone') as zone, current_setting('statement_timeout') as statement,
        current_setting('idle_in_transaction_session_timeout') as idle, timestamptz '2026-11-29T04:00:00Z' as at`
      const settings = { zone: 'UTC', statement: '30s', idle: '30s', at: Date.UTC(2026, 10, 29, 4) }
      const [, sent] = await api.sendTransaction(organization, [{ name: 'settings', text, values: [] }])
      expect(sent?.rows).toEqual([settings])
      const asked = await api.withOrganization(organization.organizationId, (tx) => kysely.raw(text).execute(tx))
      expect(asked.rows).toEqual([settings])
    })
  })

  test('a lock is refused: it would be everybody’s', async () => {
    const lock = { key: 1, applicationName: 'test' }
    await expect(tryHoldLock({ connectionString: pooled('api') }, lock, () => {})).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/^Locks need a connection to PostgreSQL itself/),
    })
    const held = await tryHoldLock({ connectionString: env['QFLARE_DATABASE_URL_DIRECT'] as string }, lock, () => {})
    expect(held?.isHeld()).toBe(true)
    await held?.release()
  })

  test.each([
    ['QFLARE_DATABASE_URL_DIRECT', 'api', /Locks need a connection to PostgreSQL itself/],
    ['QFLARE_DATABASE_URL_MIGRATOR', 'migrator', /Migrations need a connection to PostgreSQL itself/],
    ['QFLARE_DATABASE_URL_QUEUES', 'queues', /Queues need a connection to PostgreSQL itself/],
  ])('a start is refused when %s goes through it too', async (name, role, reason) => {
    const service = spawnService(await makeTestFolder(), { ...env, [name]: pooled(role) })
    expect(await service.ended()).toBe(1)
    expect(service.output.stderr).toMatch(reason)
  })

  test('a start is refused when nothing says that a pooler is there', async () => {
    const { QFLARE_DATABASE_URL_DIRECT: direct, ...untold } = env
    untold['DATABASE_URL'] = direct as string
    const service = spawnService(await makeTestFolder(), untold)
    expect(await service.ended()).toBe(1)
    expect(service.output.stderr).toMatch(/A pooler is in between: set QFLARE_DATABASE_URL_DIRECT/)
  })
})
