import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../database/embedded.ts'
import { loginsOf, prepareOwnPostgres } from '../support/own-postgres.ts'
import { findFreePort, startTestRedis, type TestRedis } from '../support/redis.ts'
import { makeFolder, noLimits } from './killed-service.ts'
import { killPostgres } from './postgres-processes.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const READY_WITHIN_MS = 60_000
const ENDS_WITHIN_MS = 40_000

export const nodeNames = ['api-1', 'api-2', 'worker-1', 'worker-2', 'sequencer'] as const
export type NodeName = (typeof nodeNames)[number]

/** Two APIs, two workers and a sequencer on one PostgreSQL and two Redis, each a process of its own, as an operator runs them. */
export interface Fleet {
  /** Of both APIs; they stay the same over restarts. */
  urls: readonly string[]
  adminToken(): Promise<string>
  /** SIGTERM, and the start of another in its place; throws unless the first ended with 0. */
  restart(name: NodeName): Promise<void>
  /** `kill -9`, and a start in its place. */
  kill(name: NodeName): Promise<void>
  queues: TestRedis
  temporalKeys: TestRedis
  /** Stops as an operator would, or `kill -9` of all its processes, and starts again. */
  restartPostgres(how: 'stop' | 'kill'): Promise<void>
  /** As the superuser. The caller ends it. */
  connect(): Promise<Client>
  /** What no process should have written: lines of level error. */
  errors(): string[]
  close(): Promise<void>
}

export async function startFleet(): Promise<Fleet> {
  await using started = new AsyncDisposableStack()
  const folder = await makeFolder('qflare-fleet-')
  started.defer(() => rm(folder, { recursive: true, force: true }))
  let postgres: EmbeddedPostgres = await startEmbeddedPostgres({
    dataDirectory: join(folder, 'postgres'),
    log: () => {},
  })
  started.defer(() => postgres.stop())
  await prepareOwnPostgres(postgres)
  const queues = await startTestRedis()
  started.defer(() => queues.stop())
  const temporalKeys = await startTestRedis()
  started.defer(() => temporalKeys.stop())
  const env = {
    ...noLimits,
    ...loginsOf(postgres),
    REDIS_URL: queues.url,
    QFLARE_TEMPORAL_REDIS_URL: temporalKeys.url,
    QFLARE_ROOT_KEY: randomBytes(32).toString('hex'),
    QFLARE_CHECKPOINT_FILE: join(folder, 'audit-checkpoint'),
    NODE_COMPILE_CACHE: join(folder, 'compiled'),
  }
  const nodes = new Map<NodeName, FleetNode>()
  for (const name of nodeNames) {
    const role = name.replace(/-\d$/, '')
    const port = role === 'api' ? await findFreePort() : 0
    const node = createNode({
      ...env,
      QFLARE_ROLES: role,
      PORT: String(port),
      QFLARE_DATA_DIR: join(folder, name),
    })
    nodes.set(name, { ...node, url: `http://127.0.0.1:${port}` })
  }
  const getNode = (name: NodeName) => nodes.get(name) as FleetNode
  started.defer(async () => {
    for (const node of nodes.values()) await node.stop('SIGTERM')
  })
  // All at once, as a cluster does it.
  await Promise.all([...nodes.values()].map((node) => node.start()))

  const running = started.move()
  return {
    urls: [getNode('api-1').url, getNode('api-2').url],
    async adminToken() {
      for (const name of ['worker-1', 'worker-2']) {
        const text = await readFile(join(folder, name, 'admin-token'), 'utf8').catch(() => undefined)
        if (text !== undefined) return text.trim()
      }
      throw new Error('no worker wrote the admin token')
    },
    async restart(name) {
      const code = await getNode(name).stop('SIGTERM')
      if (code !== 0) throw new Error(`${name} ended with ${code}:\n${getNode(name).said()}`)
      await getNode(name).start()
    },
    async kill(name) {
      await getNode(name).stop('SIGKILL')
      await getNode(name).start()
    },
    queues,
    temporalKeys,
    async restartPostgres(how) {
      if (how === 'kill') await killPostgres(postgres.processId)
      await postgres.stop()
      postgres = await startEmbeddedPostgres({ dataDirectory: join(folder, 'postgres'), log: () => {} })
    },
    async connect() {
      const { host, superuserPassword: password } = postgres
      const client = new Client({ host, user: 'postgres', password, database: 'service' })
      client.on('error', () => {})
      await client.connect()
      return client
    },
    errors: () =>
      [...nodes.values()].flatMap((node) => node.said().split('\n')).filter((line) => /"level":50/.test(line)),
    close: () => running.disposeAsync(),
  }
}

interface FleetNode {
  url: string
  /** Resolves when it says that it is ready. */
  start(): Promise<void>
  /** Its exit code; null when a signal ended it. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>
  said(): string
}

function createNode(env: Record<string, string>): Omit<FleetNode, 'url'> {
  let child: ChildProcess | undefined
  let exited: Promise<unknown> = Promise.resolve()
  let said = ''
  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null

  return {
    async start() {
      const { PATH = '' } = process.env
      const from = said.length
      const started = spawn(process.execPath, ['main.ts'], {
        cwd: root,
        env: { PATH, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child = started
      exited = once(started, 'close')
      for (const stream of [started.stdout, started.stderr]) {
        stream.on('data', (text: Buffer) => (said += text.toString()))
      }
      const deadline = performance.now() + READY_WITHIN_MS
      while (!/"msg":"ready at /.test(said.slice(from))) {
        if (!isRunning() || performance.now() > deadline) {
          throw new Error(`a process of role ${env['QFLARE_ROLES']} is not ready:\n${said.slice(-4_000)}`)
        }
        await sleep(20)
      }
    },
    async stop(signal) {
      if (!isRunning()) return child?.exitCode ?? null
      child?.kill(signal)
      const late = Symbol('late')
      if ((await Promise.race([exited, sleep(ENDS_WITHIN_MS, late, { ref: false })])) === late) {
        child?.kill('SIGKILL')
        throw new Error(`a process of role ${env['QFLARE_ROLES']} did not end:\n${said.slice(-4_000)}`)
      }
      return child?.exitCode ?? null
    },
    said: () => said,
  }
}
