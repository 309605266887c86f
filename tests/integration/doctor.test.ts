import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Finding } from '../../operations/examine/finding.ts'
import { temporalKeyFolders } from '../../runtime/temporal/temporal-key-folder.ts'
import { isRoot } from '../support/embedded.ts'
import { connect, hashTree, makeTestFolder, operate, query, stop } from '../support/operations.ts'
import { isCheckoutOpenToOthers, NOBODY } from '../support/other-user.ts'
import { everyLogin } from '../support/own-postgres.ts'
import {
  findPostmasters,
  makeServiceFolder,
  readAdminToken,
  removeServiceFolder,
  spawnService,
} from '../support/service-process.ts'
import { makeServerCredential, makeTlsFolder } from '../support/tls-files.ts'

// Each step is a process of its own, and some are services.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

/** A service that every test starts, or leaves stopped. */
let folder: string

beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

interface Report {
  exitCode: number | null
  problems: number
  warnings: number
  findings: Finding[]
  output: string
}

async function examine(dataDirectory: string, env: Record<string, string> = {}, args: string[] = []): Promise<Report> {
  const run = await operate(dataDirectory, ['doctor', '--json', ...args], env)
  expect(run.stderr).toBe('')
  return {
    exitCode: run.exitCode,
    output: run.stdout,
    ...(JSON.parse(run.stdout) as Omit<Report, 'exitCode' | 'output'>),
  }
}

const texts = ({ findings }: Report, level: Finding['level']) =>
  findings.filter((finding) => finding.level === level).map(({ part, message }) => `${part}: ${message}`)

const expectProblem = (report: Report, pattern: RegExp) => {
  expect(texts(report, 'problem')).toContainEqual(expect.stringMatching(pattern))
  expect(report.exitCode).toBe(1)
}

describe('before the first start', () => {
  test('it says what is not there, finds no fault, and makes nothing', async () => {
    const empty = await makeTestFolder()
    const report = await examine(empty)
    expect(report).toMatchObject({ exitCode: 0, problems: 0 })
    expect(texts(report, 'unseen')).toContainEqual(expect.stringMatching(/no embedded PostgreSQL yet/))
    expect(await readdir(empty)).toEqual([])
    const missing = join(empty, 'not-here')
    expect(await examine(missing)).toMatchObject({ exitCode: 0, problems: 0 })
    expect(await readdir(empty)).toEqual([])
  })
})

describe('of a running service', () => {
  test('it finds every part well, tells no secret, and changes nothing', async () => {
    const url = await spawnService(folder).ready()
    const secrets = [await readAdminToken(folder), await readFile(join(folder, 'root-key'), 'utf8')]
    const lasting = `select (select count(*) from api_token) as tokens, (select count(*) from session) as sessions,
      (select count(*) from (select entry from audit_outbox union all select entry from audit_entry) logged
        where entry::jsonb ->> 'type' not like 'temporal_key.%') as events`
    const before = await query(folder, lasting)
    const report = await examine(folder, {}, ['--at', url])
    expect(texts(report, 'problem')).toEqual([])
    expect(texts(report, 'warning')).toEqual([])
    expect(report.exitCode).toBe(0)
    const well = [
      'configuration',
      'data folder',
      'database',
      'clock',
      'custody',
      'trust',
      'temporal keys',
      'queues',
      'audit log',
      'processes',
      'replicas',
      'admin token',
    ]
    const parts = new Set(report.findings.filter(({ level }) => level === 'ok').map(({ part }) => part))
    expect([...parts]).toEqual([...well, 'service'])
    for (const secret of secrets) expect(report.output).not.toContain(secret.trim().split('.').at(-1))
    expect(await query(folder, lasting)).toEqual(before)
    const table = await operate(folder, ['doctor', '--at', url])
    expect(table.stdout).toMatch(/^ok +custody +the root key opens the keys of this database/m)
    expect(table.stdout).toMatch(
      /^ok +custody +key-encryption key 1 of challenge has sealed at most 1 % of what it should/m,
    )
    expect(table.stdout).toMatch(/problems: 0, warnings: 0/)
  })

  test('it sees keys that were lost, and records that the database does not know', async () => {
    const service = spawnService(folder)
    await service.ready()
    // It would make the lost key anew.
    service.kill('SIGSTOP')
    const { memory } = await temporalKeyFolders(folder)
    const [home = ''] = await readdir(memory)
    const records = (await readdir(join(memory, home))).filter((name) => name.startsWith('epoch-')).sort()
    await rm(join(memory, home, records[2] as string))
    await writeFile(join(memory, home, 'epoch-9000000-0'), 'x'.repeat(67), { mode: 0o600 })
    await mkdir(join(memory, 'another-root'), { mode: 0o700 })
    const report = await examine(folder)
    service.kill('SIGCONT')
    expectProblem(report, /temporal keys: 1 of 16 are missing or changed: epoch/)
    expect(texts(report, 'warning')).toContainEqual(expect.stringMatching(/1 records are unknown to the database/))
    expect(texts(report, 'warning')).toContainEqual(expect.stringMatching(/another-root has keys of another root/))
    await stop(service)
  })

  test('it sees a service that was killed, and one that answers elsewhere', async () => {
    const service = spawnService(folder)
    const elsewhere = await examine(folder, {}, ['--at', (await service.ready()).replace(/\d+$/, '1')])
    expectProblem(elsewhere, /service: .* does not answer .*, though a service works on the database/)
    service.kill('SIGKILL')
    await service.ended()
    const report = await examine(folder)
    expect(texts(report, 'warning')).toContainEqual(expect.stringMatching(/no service holds it: one was killed/))
    await stop(await startAgain())
    expect(await findPostmasters(folder)).toEqual([])
  })

  test('it tells an admin token that works from one that does not', async () => {
    const service = await startAgain()
    const client = await connect(folder)
    await client.query('update api_token set revoked_at = now()')
    expect(texts(await examine(folder), 'warning')).toContainEqual(expect.stringMatching(/^admin token: .* is revoked/))
    await client.query('update api_token set revoked_at = null')
    await client.end()
    await stop(service)
  })

  async function startAgain() {
    const service = spawnService(folder)
    await service.ready()
    return service
  }
})

describe('of a stopped service', () => {
  test('it looks at files alone, says what it did not see, starts nothing and changes nothing', async () => {
    const before = await hashTree(folder)
    const report = await examine(folder)
    expect(report).toMatchObject({ exitCode: 0, problems: 0 })
    expect(texts(report, 'unseen')).toContainEqual(expect.stringMatching(/does not run, and is not started for this/))
    expect(await findPostmasters(folder)).toEqual([])
    expect(await hashTree(folder)).toBe(before)
  })

  test('it sees a root key that is gone, is open to others, or is none', async () => {
    const path = join(folder, 'root-key')
    const key = await readFile(path, 'utf8')
    await chmod(path, 0o640)
    expectProblem(await examine(folder), /custody: .*other users may read it/)
    await writeFile(path, 'garbage')
    await chmod(path, 0o600)
    expectProblem(await examine(folder), /custody: .*is not a root key/)
    await rm(path)
    expectProblem(await examine(folder), /custody: .*is missing/)
    await writeFile(path, key, { mode: 0o600 })
  })

  test('it sees that a root key is of another database, once that runs', async () => {
    const service = spawnService(folder)
    await service.ready()
    const report = await examine(folder, { QFLARE_ROOT_KEY: '0f'.repeat(32) })
    expectProblem(report, /custody: .*does not open/)
    expect(report.output).not.toContain('0f'.repeat(32))
    await stop(service)
  })

  test.skipIf(!isRoot || !isCheckoutOpenToOthers())(
    'another user is told what he may not see, and that it is no fault of the service',
    async () => {
      const main = join(import.meta.dirname, '..', '..', 'operations', 'qflare.ts')
      const env = { PATH: process.env['PATH'] ?? '', PORT: '0', QFLARE_DATA_DIR: folder }
      const child = spawn(process.execPath, [main, 'doctor', '--json'], { uid: NOBODY, gid: NOBODY, cwd: '/', env })
      const output = text(child.stdout)
      const [exitCode] = (await once(child, 'close')) as [number]
      const report = { exitCode, output: await output, ...JSON.parse(await output) } as Report
      expect(texts(report, 'problem')).toEqual([])
      const advice = report.findings.filter(({ level }) => level === 'unseen').map((finding) => finding.advice)
      expect(advice).toContain('Run this as the user of the service, or as root.')
    },
  )
})

describe('of garbage', () => {
  test('in the folder it says what is wrong with each part, and leaves it', async () => {
    const spoilt = await makeTestFolder()
    await mkdir(join(spoilt, 'postgres', 'data'), { recursive: true })
    await writeFile(join(spoilt, 'postgres', 'data', 'PG_VERSION'), 'x')
    await writeFile(join(spoilt, 'root-key'), Buffer.from([0, 255, 1]), { mode: 0o600 })
    await writeFile(join(spoilt, 'admin-token'), 'no token', { mode: 0o644 })
    await chmod(spoilt, 0o777)
    const before = await hashTree(spoilt)
    const report = await examine(spoilt)
    expectProblem(report, /^database: /)
    expectProblem(report, /^custody: .*is not a root key/)
    expectProblem(report, /^admin token: others may read/)
    expectProblem(report, /^data folder: .*others may write there/)
    expect(await hashTree(spoilt)).toBe(before)
    await rm(join(spoilt, 'postgres'), { recursive: true })
    await writeFile(join(spoilt, 'postgres-location'), '\0somewhere')
    expectProblem(await examine(spoilt), /^database: .*does not name a folder/)
  })

  test('that never ends it does not wait, and reads no link', async () => {
    const spoilt = await makeTestFolder()
    for (const name of ['root-key', 'admin-token', 'postgres-location']) {
      execFileSync('mkfifo', [join(spoilt, name)])
    }
    // The clean-up of the folder reads it.
    onTestFinished(() => rm(join(spoilt, 'postgres-location')))
    const report = await examine(spoilt, { QFLARE_TLS_CERT_FILE: '/dev/zero', QFLARE_TLS_KEY_FILE: '/dev/zero' })
    expectProblem(report, /^database: .*postgres-location is no small regular file/)
    expectProblem(report, /^custody: .*is no regular file/)
    expectProblem(report, /^admin token: .*is no regular file/)
    expectProblem(report, /^TLS: .*is no regular file/)
    await rm(join(spoilt, 'admin-token'))
    await symlink('/etc/passwd', join(spoilt, 'admin-token'))
    expect(texts(await examine(spoilt), 'unseen')).toContainEqual(expect.stringMatching(/^admin token: .*ELOOP/))
  })

  test('in the configuration it says everything at once, and no password', async () => {
    const env = {
      PORT: '70000',
      QFLARE_ROLES: 'everything',
      QFLARE_TRUST_DOMAINE: 'x',
      DATABASE_URL: 'postgresql://a:very-secret@127.0.0.1:1/x',
    }
    const report = await examine(folder, env)
    // Somebody else may migrate.
    const { DATABASE_URL: _given, QFLARE_DATABASE_URL_MIGRATOR: _optional, ...missing } = everyLogin('')
    for (const name of ['PORT', 'QFLARE_ROLES', ...Object.keys(missing)]) {
      expectProblem(report, new RegExp(`^configuration: ${name}[.:]`))
    }
    expect(texts(report, 'warning')).toContainEqual(expect.stringMatching(/QFLARE_TRUST_DOMAINE is not known/))
    expect(report.output).not.toContain('very-secret')
  })

  test('at the database URLs it names each that does not answer, and no password', async () => {
    const url = 'postgresql://a:very-secret@127.0.0.1:1/x'
    const env = everyLogin(url)
    const report = await examine(await makeTestFolder(), { ...env, QFLARE_ROOT_KEY: '0f'.repeat(32) })
    for (const name of Object.keys(env)) expectProblem(report, new RegExp(`^database: ${name}: .*ECONNREFUSED`))
    expect(report.output).not.toContain('very-secret')
  })
})

describe('of TLS files', () => {
  const envOf = ({ certFile, keyFile }: { certFile: string; keyFile: string }) => ({
    QFLARE_TLS_CERT_FILE: certFile,
    QFLARE_TLS_KEY_FILE: keyFile,
  })

  test('it sees a pair that fits, one that does not, and one that is over', async () => {
    const files = await makeTlsFolder(makeServerCredential())
    const others = await makeTlsFolder(makeServerCredential())
    const old = await makeTlsFolder(makeServerCredential(new Date(Date.now() - 10 * 86_400_000)))
    const good = await examine(folder, envOf(files))
    expect(texts(good, 'ok')).toContainEqual('TLS: the certificate belongs to its key')
    expect(texts(good, 'warning')).toContainEqual(expect.stringMatching(/^TLS: the certificate ends in 0 days/))
    expectProblem(
      await examine(folder, envOf({ ...files, keyFile: others.keyFile })),
      /^TLS: the certificate is of another key/,
    )
    expectProblem(await examine(folder, envOf(old)), /^TLS: the certificate has expired/)
    await writeFile(files.certFile, 'garbage')
    expectProblem(await examine(folder, envOf(files)), /^TLS: certificate or key cannot be read/)
  })
})
