import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Client, type ClientConfig } from 'pg'
import { temporalKeyFolder } from '../../runtime/temporal/temporal-key-folder.ts'

export interface BenchService {
  url: string
  adminToken: string
  /** Of the API; PostgreSQL is a child of it. */
  pid: number
  process: ChildProcess
  dataDirectory: string
  /** As the superuser, behind the API. */
  databaseConnection(): Promise<ClientConfig>
  /** The same, connected. The caller ends it. */
  connectDatabase(): Promise<Client>
  stop(): Promise<void>
}

const READY_WITHIN_MS = 60_000
/** Thousands of exchanges a minute from one address and by 16 devices are what a bench is, and what limits are against. */
const NO_LIMITS = {
  QFLARE_LIMIT_CONNECTIONS: '0',
  QFLARE_LIMIT_ADDRESS: '0',
  QFLARE_LIMIT_ADDRESS_REFUSED: '0',
  QFLARE_LIMIT_API_TOKEN: '0',
  QFLARE_LIMIT_DEVICE: '0',
  QFLARE_LIMIT_ORGANIZATION: '0',
}

/**
 * The service as `npm start` runs it, on a free port and a data folder of its own, with its usual log going nowhere and its
 * rate limits off. `nodeArguments` stand before its main file; it has an IPC channel for what they load.
 */
export async function startBenchService(
  nodeArguments: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<BenchService> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'qflare-bench-'))
  // PostgreSQL runs as another user when root runs the bench.
  await chmod(dataDirectory, 0o711)
  const main = fileURLToPath(new URL('../../main.ts', import.meta.url))
  const child = spawn(process.execPath, [...nodeArguments, main], {
    cwd: dirname(main),
    env: { ...process.env, ...NO_LIMITS, ...env, PORT: '0', QFLARE_DATA_DIR: dataDirectory },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    }
    // The temporal keys are on the memory file system, where nobody else would remove them.
    await rm(await temporalKeyFolder(dataDirectory), { recursive: true, force: true })
    await rm(dataDirectory, { recursive: true, force: true })
  }
  try {
    const url = await readUrl(child)
    const adminToken = (await readFile(join(dataDirectory, 'admin-token'), 'utf8')).trim()
    const databaseConnection = () => findConnection(join(dataDirectory, 'postgres'))
    const connectDatabase = async () => connect(await databaseConnection())
    const ofDatabase = { dataDirectory, databaseConnection, connectDatabase }
    return { url, adminToken, pid: child.pid as number, process: child, ...ofDatabase, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function findConnection(folder: string): Promise<ClientConfig> {
  const password = (await readFile(join(folder, 'password'), 'utf8')).trim()
  return { host: folder, port: 5432, user: 'postgres', password, database: 'qflare' }
}

async function connect(connection: ClientConfig): Promise<Client> {
  const client = new Client(connection)
  await client.connect()
  return client
}

async function readUrl(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const bound = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS)
  try {
    for await (const line of lines) {
      const { url } = JSON.parse(line) as { url?: string }
      if (url !== undefined) return url
    }
    throw new Error('The service ended before it was ready.')
  } finally {
    clearTimeout(bound)
    // The log has to be read on, or the service would wait for us.
    child.stdout?.resume()
  }
}
