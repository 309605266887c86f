import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { call } from '../support/api.ts'
import { runQflare } from '../support/command-suite.ts'
import {
  type DeployedPostgres,
  hasDeployedPrograms,
  makeDeployedFolder,
  makeSecrets,
  startDeployedHaproxy,
  startDeployedPostgres,
  startDeployedRedis,
} from '../support/deployed-stores.ts'
import { makeTestFolder, operate, operateJson } from '../support/operations.ts'
import { findFreePort } from '../support/redis.ts'
import { spawnService } from '../support/service-process.ts'

// Each step is a process of its own.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

/** PostgreSQL, two Redis and HAProxy with the very files of deploy/, and a service that reaches them over TLS. */
describe.skipIf(!hasDeployedPrograms)('a service with the stores of deploy/', () => {
  const stack = new AsyncDisposableStack()
  let secrets: string
  let postgres: DeployedPostgres
  let ports: { queues: number; temporal: number }
  let env: Record<string, string>

  beforeAll(async () => {
    const { folder, remove } = await makeDeployedFolder()
    stack.defer(remove)
    secrets = await makeSecrets(folder)
    postgres = await startDeployedPostgres(folder, secrets)
    stack.defer(postgres.stop)
    const queues = await startDeployedRedis('queues', folder, secrets)
    stack.defer(queues.stop)
    const temporal = await startDeployedRedis('temporal', folder, secrets)
    stack.defer(temporal.stop)
    ports = { queues: queues.port, temporal: temporal.port }
    // The names of the containers are this machine here.
    for (const name of (await readdir(secrets)).filter((each) => each.endsWith('-url'))) {
      const url = (await readSecret(name))
        .replace('@postgres:5432', `@localhost:${postgres.port}`)
        .replace('@redis-queues:6379', `@localhost:${ports.queues}`)
        .replace('@redis-temporal:6379', `@localhost:${ports.temporal}`)
      await writeFile(join(secrets, name), `${url}\n`)
    }
    env = {
      DATABASE_URL_FILE: join(secrets, 'api-url'),
      QFLARE_DATABASE_URL_AUDITOR_FILE: join(secrets, 'auditor-url'),
      QFLARE_DATABASE_URL_WORKER_FILE: join(secrets, 'worker-url'),
      QFLARE_DATABASE_URL_SEQUENCER_FILE: join(secrets, 'sequencer-url'),
      REDIS_URL_FILE: join(secrets, 'redis-queues-url'),
      QFLARE_TEMPORAL_REDIS_URL_FILE: join(secrets, 'redis-temporal-url'),
      QFLARE_ROOT_KEY_FILE: join(secrets, 'root-key'),
      NODE_EXTRA_CA_CERTS: join(secrets, 'ca.crt'),
    }
    await postgres.makeRoles()
  })
  afterAll(() => stack.disposeAsync())

  const readSecret = async (name: string) => (await readFile(join(secrets, name), 'utf8')).trim()

  async function connect(url: string): Promise<Client> {
    const client = new Client({ connectionString: `${url}&sslrootcert=${secrets}/ca.crt` })
    client.on('error', () => undefined)
    onTestFinished(() => client.end().catch(() => undefined))
    await client.connect()
    return client
  }

  test('a process without the migrator’s login refuses a schema that is not there, and qflare migrate makes it', async () => {
    const folder = await makeTestFolder()
    const early = spawnService(folder, env)
    expect(await early.ended()).toBe(1)
    expect(early.output.stderr).toMatch(/Its migrations cannot be read: run them \(qflare migrate\)/)
    const refused = await operate(folder, ['migrate'], env)
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/QFLARE_DATABASE_URL_MIGRATOR/) })
    const withMigrator = { ...env, QFLARE_DATABASE_URL_MIGRATOR_FILE: join(secrets, 'migrator-url') }
    const first = await operateJson<{ applied: string[] }>(folder, ['migrate'], withMigrator)
    expect(first.applied.length).toBeGreaterThan(10)
    expect(await operateJson(folder, ['migrate'], withMigrator), 'a second time').toEqual({ applied: [] })
  })

  test('it serves a device through HAProxy: everything between them and the stores is encrypted', async () => {
    const folder = await makeTestFolder()
    const [port, operatorPort] = [await findFreePort(), await findFreePort()]
    const service = spawnService(folder, {
      ...env,
      PORT: String(port),
      QFLARE_OPERATOR_PORT: String(operatorPort),
      QFLARE_TRUST_PROXY: '127.0.0.1',
    })
    await service.ready()
    const haproxy = await startDeployedHaproxy(join(secrets, '..'), secrets, { port, operatorPort })
    onTestFinished(haproxy.stop)
    const url = `https://localhost:${haproxy.port}`

    const qflare = (args: string, stdin = '') =>
      runQflare(args.split(' '), {
        folder,
        stdin,
        env: {
          QFLARE_URL: url,
          QFLARE_DATA_DIR: folder,
          QFLARE_STATE: join(folder, 'device.json'),
          NODE_EXTRA_CA_CERTS: join(secrets, 'ca.crt'),
        },
      })
    // HAProxy first has to see that the process is ready.
    const token = await vi.waitFor(async () => {
      const made = await qflare('token create')
      expect(made).toMatchObject({ exitCode: 0 })
      return made.stdout
    }, 30_000)
    expect(await qflare('enroll --name edge-1', token)).toMatchObject({ exitCode: 0 })
    expect(await qflare('exchange')).toMatchObject({ exitCode: 0 })
    expect(await qflare('jobs list')).toMatchObject({ exitCode: 0 })
    await vi.waitFor(async () => {
      const { body } = await call({ url: `http://127.0.0.1:${operatorPort}` }, 'GET', '/metrics')
      expect(body).toMatch(/qflare_jobs_total\{[^}]*result="completed"\} [1-9]/)
    }, 60_000)
    expect((await call({ url: `http://127.0.0.1:${operatorPort}` }, 'GET', '/ready')).body.status).toBe('ready')

    const superuser = new Client({ ...postgres, user: 'postgres', database: 'qflare' })
    await superuser.connect()
    const { rows } = await superuser.query(
      `select usename, bool_and(ssl) as ssl, min(version) as version from pg_stat_activity join pg_stat_ssl using (pid)
       where usename <> 'postgres' group by usename order by usename`,
    )
    await superuser.end()
    const encrypted = { ssl: true, version: 'TLSv1.3' }
    expect(rows).toEqual(
      ['api_login', 'auditor_login', 'sequencer_login', 'worker_login'].map((usename) => ({ usename, ...encrypted })),
    )
    service.kill('SIGTERM')
    expect(await service.ended()).toBe(0)
    const said = service.output.stdout + service.output.stderr
    expect(said.split('\n').filter((line) => /"level":50|NOPERM/.test(line))).toEqual([])
    for (const name of (await readdir(secrets)).filter((each) => /-url$|-password$|root-key/.test(each))) {
      const secret = (await readSecret(name)).replace(/^.*:([0-9a-f]{64})@.*$/, '$1')
      expect(said.includes(secret), name).toBe(false)
    }
  })

  test('a store whose certificate nobody vouches for is not used', async () => {
    const folder = await makeTestFolder()
    const { NODE_EXTRA_CA_CERTS: _, ...withoutAuthority } = env
    const service = spawnService(folder, withoutAuthority)
    expect(await service.ended()).toBe(1)
    expect(service.output.stderr).toMatch(/self-signed certificate|unable to verify|unable to get/)
  })

  test('PostgreSQL takes no login in clear, no superuser from the network, and no login to another database', async () => {
    const url = await readSecret('api-url')
    await expect(connect(url.replace('sslmode=verify-full', 'sslmode=disable'))).rejects.toThrow(
      /rejects connection|no encryption/,
    )
    expect((await connect(url)).database).toBe('qflare')
    await expect(connect(url.replace('/qflare?', '/postgres?'))).rejects.toThrow(/rejects connection/)
    const superuser = `postgresql://postgres:${postgres.password}@localhost:${postgres.port}/qflare?sslmode=verify-full`
    await expect(connect(superuser)).rejects.toThrow(/rejects connection/)
    await expect(connect(url.replace('localhost', '127.0.0.2'))).rejects.toThrow()
  })

  test('each Redis takes its one user by TLS, who may do what the service does and no more', async () => {
    const ca = await readSecret('ca.crt')
    const open = (url: string, options: object = { tls: { ca } }): Redis => {
      const redis = new Redis(url, {
        lazyConnect: true,
        retryStrategy: () => null,
        maxRetriesPerRequest: 0,
        ...options,
      })
      redis.on('error', () => undefined)
      onTestFinished(() => redis.disconnect())
      return redis
    }
    for (const name of ['queues', 'temporal'] as const) {
      const url = await readSecret(`redis-${name}-url`)
      await expect(open(url.replace('rediss:', 'redis:'), {}).connect(), 'in clear').rejects.toThrow()
      const nobody = open(url.replace(/qflare:[0-9a-f]+@/, ''), { tls: { ca }, enableReadyCheck: false })
      await expect(nobody.call('GET', 'x')).rejects.toThrow(/NOAUTH/)
      const redis = open(url)
      const forbidden = [
        ['CONFIG', 'SET', 'save', '60 1'],
        ['SAVE'],
        ['BGSAVE'],
        ['FLUSHALL'],
        ['KEYS', '*'],
        ['ACL', 'LIST'],
        ['CLIENT', 'LIST'],
        ['MONITOR'],
        ['REPLICAOF', '127.0.0.1', '1'],
        ['SHUTDOWN'],
        ['SET', 'of-somebody-else', '1'],
        ['GET', 'of-somebody-else'],
      ] as const
      for (const [command, ...args] of forbidden) {
        await expect(redis.call(command, ...args), `${name}: ${command}`).rejects.toThrow(/NOPERM/)
      }
      expect(JSON.stringify(await redis.call('CONFIG', 'GET', 'maxmemory-policy'))).toContain('noeviction')
    }
  })

  test('the roles are made again without harm, and passwords follow their files', async () => {
    await postgres.makeRoles()
    const before = await readSecret('queues-url')
    const next = '0f'.repeat(32)
    await writeFile(join(secrets, 'postgres-queues-password'), `${next}\n`)
    await postgres.makeRoles()
    await expect(connect(before)).rejects.toThrow(/password authentication failed/)
    expect((await connect(before.replace(/:[0-9a-f]{64}@/, `:${next}@`))).user).toBe('queues_login')
  })

  test('secrets are made once, for their user alone, and never written over', async () => {
    expect((await stat(secrets)).mode & 0o777).toBe(0o700)
    const names = await readdir(secrets)
    const compose = await readFile(join(import.meta.dirname, '..', '..', 'docker-compose.yml'), 'utf8')
    const mounted = [...compose.matchAll(/\.\/deploy\/secrets\/([a-z.-]+)/g)].map(([, name]) => name)
    expect(names).toEqual(expect.arrayContaining(mounted))
    expect(mounted.length).toBeGreaterThan(20)
    for (const name of names) expect((await stat(join(secrets, name))).mode & 0o777, name).toBe(0o600)
    const before = await Promise.all(names.map(readSecret))
    await expect(makeSecrets(join(secrets, '..'))).rejects.toThrow(/is there already, and stays as it is/)
    expect(await readdir(join(secrets, '..')).then((all) => all.filter((name) => name.includes('draft')))).toEqual([])
    expect(await Promise.all(names.map(readSecret))).toEqual(before)
  })
})
