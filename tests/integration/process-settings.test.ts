import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../database/embedded.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { loginsOf, prepareOwnPostgres, urlOf } from '../support/own-postgres.ts'
import { expectRefusal, sendRaw } from '../support/refusals.ts'
import {
  enrollClient,
  makeServiceFolder,
  openAdmin,
  readAdminToken,
  removeServiceFolder,
  type ServiceProcess,
  spawnService,
} from '../support/service-process.ts'

let folder: string

beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

async function expectNoStart(service: ServiceProcess, ...parts: (string | RegExp)[]): Promise<void> {
  expect(await service.ended()).toBe(1)
  for (const part of parts) expect(service.output.stderr).toMatch(part)
  expect(service.output.stderr, 'no stack for a person to read').not.toMatch(/\n\s+at /)
}

describe('configuration', () => {
  test('that would serve other machines in clear is refused, with what to do', async () => {
    const service = spawnService(folder, { HOST: '0.0.0.0' })
    await expectNoStart(service, 'HOST: 0.0.0.0 is reachable from other machines', /QFLARE_TRUST_PROXY/)
    expect(existsSync(join(folder, 'postgres'))).toBe(false)
  })

  test('with several errors names them all at once, and touches nothing', async () => {
    const service = spawnService(folder, {
      HOST: '0.0.0.0',
      PORT: '70000',
      QFLARE_ROLES: 'api,everything',
      QFLARE_CRYPTO: 'fast',
      QFLARE_TRUST_DOMAIN: 'Not A Domain',
      QFLARE_EXCHANGE_QUEUE: 'many',
      DATABASE_URL: 'postgresql://localhost/x',
      QFLARE_DATABASE_URL_WORKER: 'mysql://localhost/x',
    })
    // The migrator is not among them: somebody else may migrate.
    const names = ['HOST', 'PORT', 'QFLARE_ROLES', 'QFLARE_CRYPTO', 'QFLARE_TRUST_DOMAIN', 'QFLARE_EXCHANGE_QUEUE']
    names.push(...['WORKER', 'AUDITOR', 'SEQUENCER'].map((role) => `QFLARE_DATABASE_URL_${role}`))
    await expectNoStart(service, ...names.map((name) => new RegExp(`^  ${name}[.:]`, 'm')))
    expect(existsSync(join(folder, 'postgres'))).toBe(false)
  })

  test.each([
    ['a proxy that is no address', { QFLARE_TRUST_PROXY: 'proxy.example' }, /QFLARE_TRUST_PROXY/],
    ['a host that is not of this machine', { HOST: '192.0.2.1', QFLARE_TRUST_PROXY: '192.0.2.2' }, /192\.0\.2\.1/],
  ])('with %s is refused by name', async (_what, env, name) => {
    await expectNoStart(spawnService(folder, env), name)
  })

  test('may name a proxy, and then other machines than it reach only what is for them', async () => {
    const service = spawnService(folder, { HOST: '0.0.0.0', QFLARE_TRUST_PROXY: '10.0.0.0/8, 192.0.2.7' })
    const { port } = new URL(await service.ready())
    const here = { url: `http://127.0.0.1:${port}` }
    expect((await call(here, 'GET', '/live')).status).toBe(200)
    const headers = { 'x-forwarded-for': '203.0.113.7' }
    expectRefusal(await sendRaw(here, 'GET', '/live', { headers }), 404, 'not_found')
    expect((await sendRaw(here, 'GET', '/v1/buckets', { headers })).status).toBe(200)
  })

  test('that names no proxy is said once to lack one, when somebody seems to come through one', async () => {
    const service = spawnService(folder)
    const here = { url: await service.ready() }
    const headers = { 'x-forwarded-for': '203.0.113.7' }
    for (let i = 0; i < 3; i++) expect((await sendRaw(here, 'GET', '/v1/buckets', { headers })).status).toBe(200)
    service.kill('SIGTERM')
    expect(await service.ended()).toBe(0)
    expect(service.output.stdout.match(/X-Forwarded-For, and QFLARE_TRUST_PROXY names no proxy/g)).toHaveLength(1)
  })

  test('of portable cryptography serves an exchange', async () => {
    const url = await spawnService(folder, { QFLARE_CRYPTO: 'portable' }).ready()
    expect((await call({ url }, 'GET', '/version')).body.cryptoProvider).toBe('portable')
    expect((await (await enrollClient(url, folder)).exchange()).session).toBeDefined()
  })
})

describe('an admin token that no database knows', () => {
  test('in the data folder gives way to the one of its database, and is not lost', async () => {
    const other = await makeServiceFolder()
    onTestFinished(() => removeServiceFolder(other))
    const stale = `qf_${newId()}.${'A'.repeat(43)}`
    await writeFile(join(other, 'admin-token'), `${stale}\n`, { mode: 0o600 })
    const url = await spawnService(other).ready()
    expect(await readAdminToken(other)).not.toBe(stale)
    expect((await readFile(join(other, 'admin-token.replaced'), 'utf8')).trim()).toBe(stale)
    expect((await (await openAdmin(url, other)).listDevices()).items).toEqual([])
  })
})

describe('a PostgreSQL of one’s own', () => {
  let server: string
  let postgres: EmbeddedPostgres
  let env: Record<string, string>

  beforeAll(async () => {
    server = await makeServiceFolder()
    postgres = await startServer()
    await prepareOwnPostgres(postgres)
    env = {
      ...loginsOf(postgres),
      // Of the database, whichever data folder a process has.
      QFLARE_CHECKPOINT_FILE: join(server, 'audit-checkpoint'),
      QFLARE_ROOT_KEY: randomBytes(32).toString('hex'),
    }
  })
  afterAll(async () => {
    await postgres.stop()
    await removeServiceFolder(server)
  })

  const startServer = () => startEmbeddedPostgres({ dataDirectory: server, log: () => undefined })

  async function makeOwnFolder(): Promise<string> {
    const own = await makeServiceFolder()
    onTestFinished(() => removeServiceFolder(own))
    return own
  }

  test('is used with a login per role, without making another or a root key', async () => {
    const own = await makeOwnFolder()
    const service = spawnService(own, env)
    const url = await service.ready()
    expect((await (await enrollClient(url, own)).exchange()).session).toBeDefined()
    expect(existsSync(join(own, 'postgres'))).toBe(false)
    expect(existsSync(join(own, 'root-key'))).toBe(false)
    for (const text of [service.output.stdout, service.output.stderr]) {
      expect(text).not.toMatch(/secret-of/)
      expect(text).not.toContain(env.QFLARE_ROOT_KEY)
    }
    service.kill('SIGTERM')
    expect(await service.ended()).toBe(0)
  })

  test('serves one process: a second one is told, and the first goes on', async () => {
    const url = await spawnService(await makeOwnFolder(), env).ready()
    await expectNoStart(spawnService(await makeOwnFolder(), env), /Another QFLARE process works on this database/)
    expect((await call({ url }, 'GET', '/ready')).status).toBe(200)
  })

  test('may go away and come back: 503 in between, and the process goes on', async () => {
    const own = await makeOwnFolder()
    const service = spawnService(own, env)
    const url = await service.ready()
    await postgres.stop()
    try {
      expectRefusal(await call({ url }, 'GET', '/v1/trust'), 503, 'unavailable')
      expect(await call({ url }, 'GET', '/ready')).toMatchObject({ status: 503, body: { status: 'not_ready' } })
      expect((await call({ url }, 'GET', '/live')).status).toBe(200)
    } finally {
      postgres = await startServer()
    }
    expect((await call({ url }, 'GET', '/v1/trust')).status).toBe(200)
    // The schedule, if a run of it came to nothing meanwhile, is well again with its next one.
    await vi.waitFor(async () => expect((await call({ url }, 'GET', '/ready')).status).toBe(200), 20_000)
    service.kill('SIGTERM')
    expect(await service.ended()).toBe(0)
    expect(service.output.stderr).toBe('')
  })

  test('is refused where a login could do more than its role, and where it cannot be reached', async () => {
    const own = await makeOwnFolder()
    const superuser = urlOf(postgres, 'postgres', postgres.superuserPassword)
    for (const name of ['DATABASE_URL', 'QFLARE_DATABASE_URL_WORKER', 'QFLARE_DATABASE_URL_SEQUENCER']) {
      await expectNoStart(spawnService(own, { ...env, [name]: superuser }), /postgres is a superuser/)
    }
    const wrongRole = { ...env, QFLARE_DATABASE_URL_MIGRATOR: env.DATABASE_URL as string }
    await expectNoStart(spawnService(own, wrongRole), /The migrator cannot become qflare_owner/)
    const wrongPassword = { ...env, DATABASE_URL: urlOf(postgres, 'api_login', 'wrong') }
    await expectNoStart(spawnService(own, wrongPassword), /password authentication failed for user "api_login"/)
    for (const host of ['127.0.0.1', 'localhost']) {
      const away = { ...env, QFLARE_DATABASE_URL_MIGRATOR: `postgresql://nobody@${host}:1/service` }
      await expectNoStart(spawnService(own, away), /ECONNREFUSED 127\.0\.0\.1:1/)
    }
  })

  test('is refused without a root key, or with another one than its own', async () => {
    const own = await makeOwnFolder()
    const { QFLARE_ROOT_KEY: _key, ...without } = env
    await expectNoStart(spawnService(own, without), /QFLARE_ROOT_KEY_FILE: is required with DATABASE_URL/)
    const another = { ...env, QFLARE_ROOT_KEY: 'ab'.repeat(32) }
    await expectNoStart(spawnService(own, another), /root key/i)
  })
})
