import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { EmbeddedPostgres } from '../../database/embedded.ts'
import { findFreePort } from './redis.ts'

/** Debian's place for it is in the PATH of root alone. */
const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
const program = folders.map((folder) => join(folder, 'pgbouncer')).find((path) => existsSync(path))

/** Whether this machine has Debian's `pgbouncer`. In CI it has to: a test that is skipped there proves nothing. */
export const hasPgbouncer = process.env.CI === 'true' || program !== undefined

export interface TestPgbouncer {
  /** The address of a login at it, in the place of one at PostgreSQL. */
  urlOf(user: string, password: string, database?: string): string
  stop(): Promise<void>
}

/** A real PgBouncer of its own, on loopback, in transaction mode, with `poolSize` connections for each login and database. */
export async function startTestPgbouncer(
  postgres: Pick<EmbeddedPostgres, 'host' | 'port'>,
  passwords: Record<string, string>,
  poolSize: number,
  settings: Record<string, string> = {},
): Promise<TestPgbouncer> {
  if (program === undefined) throw new Error('this machine has no pgbouncer')
  // It refuses root; the user that PostgreSQL runs as may enter its folder.
  const { uid, gid } = await stat(postgres.host)
  const folder = await mkdtemp(join(tmpdir(), 'qflare-pgbouncer-'))
  const port = await findFreePort()
  const all = {
    listen_addr: '127.0.0.1',
    listen_port: String(port),
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    auth_file: join(folder, 'users'),
    pool_mode: 'transaction',
    default_pool_size: String(poolSize),
    max_client_conn: '200',
    ...settings,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`)
  const databases = ['[databases]', `* = host=${postgres.host} port=${postgres.port}`]
  const users = Object.entries(passwords).map(([user, password]) => `"${user}" "${password}"`)
  await writeFile(join(folder, 'users'), `${users.join('\n')}\n`, { mode: 0o600 })
  await writeFile(join(folder, 'pgbouncer.ini'), `${[...databases, '[pgbouncer]', ...lines].join('\n')}\n`)
  const isOther = process.getuid?.() !== uid
  if (isOther) {
    await chmod(folder, 0o755)
    await chown(join(folder, 'users'), uid, gid)
  }
  const child = spawn(program, [join(folder, 'pgbouncer.ini')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(isOther ? { uid, gid } : {}),
  })
  await untilItListens(child)
  return {
    urlOf: (user, password, database = 'service') => `postgresql://${user}:${password}@127.0.0.1:${port}/${database}`,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGTERM')
        await gone
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function untilItListens(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let output = ''
    child.once('exit', (code) => reject(new Error(`pgbouncer ended with ${code}: ${output.slice(-500)}`)))
    child.stderr?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      if (output.includes('process up')) resolve()
    })
  })
  child.stderr?.removeAllListeners('data').resume()
  child.removeAllListeners('exit')
}
