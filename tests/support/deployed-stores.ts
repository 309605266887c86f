import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chown, copyFile, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findBinaries } from '../../database/embedded/binaries.ts'
import { createCluster, openCluster } from '../../database/embedded/cluster.ts'
import { locateCluster } from '../../database/embedded/location.ts'
import { startPostmaster, stopPostmaster } from '../../database/embedded/postmaster.ts'
import { chooseSocketFolder } from '../../database/embedded/socket-folder.ts'
import { findProgram } from './find-program.ts'
import { findFreePort } from './redis.ts'

const run = promisify(execFile)
const deploy = fileURLToPath(new URL('../../deploy', import.meta.url))

const programs = ['redis-server', 'haproxy', 'psql', 'openssl'] as const

/** Whether this machine has all of Debian's. In CI it has to: a test that is skipped there proves nothing. */
export const hasDeployedPrograms =
  process.env.CI === 'true' || programs.every((name) => findProgram(name) !== undefined)

/** What is started, stopped again in the other order. */
export interface Deployed {
  stop(): Promise<void>
}

/** A new folder of secrets, as deploy/make-secrets.sh makes it. */
export async function makeSecrets(folder: string): Promise<string> {
  const secrets = join(folder, 'secrets')
  await run(join(deploy, 'make-secrets.sh'), [secrets])
  return secrets
}

/** A file of deploy/ as it is, but for where the secrets are, and what `changes` says of this machine's addresses. */
async function writeConfiguration(
  name: string,
  target: string,
  secrets: string,
  changes: readonly (readonly [string | RegExp, string])[] = [],
): Promise<void> {
  let text = (await readFile(join(deploy, name), 'utf8')).replaceAll('/run/secrets/', `${secrets}/`)
  for (const [from, to] of changes) {
    const changed = text.replace(from, to)
    if (changed === text) throw new Error(`deploy/${name} has no ${from}`)
    text = changed
  }
  await writeFile(target, text)
}

export interface DeployedPostgres extends Deployed {
  port: number
  /** Of its Unix socket, and the superuser's password there. */
  host: string
  password: string
  /** Runs deploy/postgresql/roles.sql. */
  makeRoles(): Promise<void>
}

/** PostgreSQL 18 with deploy/postgresql/, on a free port of 127.0.0.1. */
export async function startDeployedPostgres(folder: string, secrets: string): Promise<DeployedPostgres> {
  const data = join(folder, 'postgresql')
  await mkdir(data, { mode: 0o711 })
  const location = await locateCluster(await realpath(data), () => undefined)
  const binaries = await findBinaries(location.account, () => undefined)
  await createCluster(location, binaries)
  const cluster = await openCluster(location, binaries)
  // Its key belongs to the user that it runs as.
  const own = await mkdtemp(join(cluster.folder, 'secrets-'))
  for (const name of ['postgres.crt', 'postgres.key']) await copyFile(join(secrets, name), join(own, name))
  const hba = join(own, 'pg_hba.conf')
  const configuration = join(own, 'postgresql.conf')
  await copyFile(join(deploy, 'postgresql', 'pg_hba.conf'), hba)
  await writeConfiguration('postgresql/postgresql.conf', configuration, own, [['/etc/postgresql/pg_hba.conf', hba]])
  if (location.account !== undefined) {
    const { uid, gid } = location.account
    for (const path of [own, ...(await readdir(own)).map((name) => join(own, name))]) await chown(path, uid, gid)
  }
  const port = await findFreePort()
  const host = await chooseSocketFolder(cluster)
  const settings = [`config_file=${configuration}`, 'listen_addresses=127.0.0.1', `port=${port}`]
  const places = ['-D', cluster.pgdata, '-k', host]
  const { processId } = await startPostmaster(
    cluster,
    [binaries.postgres, ...places, ...settings.flatMap((setting) => ['-c', setting])],
    host,
  )
  return {
    port,
    host,
    password: cluster.password,
    async makeRoles() {
      const args = ['--no-psqlrc', '--quiet', `--set=secrets=${secrets}`, `--file=${deploy}/postgresql/roles.sql`]
      const env = { PATH: process.env.PATH, PGPASSWORD: cluster.password }
      await run('psql', [...args, `--host=${host}`, `--port=${port}`, '--username=postgres', 'postgres'], { env })
    },
    stop: () => stopPostmaster(cluster, processId, 10_000),
  }
}

export interface DeployedRedis extends Deployed {
  port: number
}

/** A Redis with the configuration and the users of deploy/redis/, on a free port of 127.0.0.1. */
export async function startDeployedRedis(
  name: 'queues' | 'temporal',
  folder: string,
  secrets: string,
): Promise<DeployedRedis> {
  const configuration = join(folder, `redis-${name}.conf`)
  await writeConfiguration(`redis/${name}.conf`, configuration, secrets)
  const port = await findFreePort()
  const place = ['--tls-port', String(port), '--bind', '127.0.0.1', '--dir', folder]
  const child = await startProgram('redis-server', [configuration, ...place], 'Ready to accept connections')
  return { port, stop: () => end(child) }
}

/** HAProxy with deploy/haproxy/, on a free port of 127.0.0.1, before one process of the API. */
export async function startDeployedHaproxy(
  folder: string,
  secrets: string,
  api: { port: number; operatorPort: number },
): Promise<DeployedRedis> {
  const configuration = join(folder, 'haproxy.cfg')
  const port = await findFreePort()
  await writeConfiguration('haproxy/haproxy.cfg', configuration, secrets, [
    // As many connections as a process may have here.
    ['maxconn 20000', 'maxconn 2000'],
    ['bind :8443', `bind 127.0.0.1:${port}`],
    [/server-template .*/, `server api-1 127.0.0.1:${api.port} port ${api.operatorPort}`],
  ])
  const child = await startProgram('haproxy', ['-W', '-db', '-f', configuration], 'Loading success')
  return { port, stop: () => end(child) }
}

export async function makeDeployedFolder(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-deployed-'))
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

async function startProgram(name: string, args: string[], isReady: string): Promise<ChildProcess> {
  const child = spawn(findProgram(name) ?? name, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  await new Promise<void>((resolve, reject) => {
    let output = ''
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}: ${output.slice(-1_000)}`)))
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        if (output.includes(isReady)) resolve()
      })
    }
  })
  child.removeAllListeners('exit')
  return child
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await gone
}
