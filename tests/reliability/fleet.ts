import { randomBytes } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../database/embedded.ts'
import { startTestBalancer, type TestBalancer } from '../support/load-balancer.ts'
import { loginsOf, prepareOwnPostgres } from '../support/own-postgres.ts'
import { findFreePort, startTestRedis, type TestRedis } from '../support/redis.ts'
import { createNode, type FleetNode } from './fleet-node.ts'
import { makeFolder, noLimits } from './killed-service.ts'
import { killPostgres } from './postgres-processes.ts'

const here = fileURLToPath(new URL('../..', import.meta.url))

/** In the order of an upgrade (docs/operations.md). */
export const nodeNames = ['worker-1', 'worker-2', 'sequencer-1', 'sequencer-2', 'api-1', 'api-2'] as const
export type NodeName = (typeof nodeNames)[number]

export interface FleetOptions {
  /** Default: the embedded package's. */
  startPostgres?: (options: { dataDirectory: string }) => Promise<EmbeddedPostgres>
  /** What the processes run from to begin with. Default: this checkout. */
  checkout?: string
  /** Of every process, beside what the fleet needs. */
  env?: Record<string, string>
}

/** Two APIs, two workers and two sequencers on one PostgreSQL and two Redis, each a process of its own, as an operator runs them. */
export interface Fleet {
  /** Of both APIs; they stay the same over restarts. */
  urls: readonly string[]
  /** Where each API says whether it is ready. */
  operatorUrls: readonly string[]
  /** HAProxy before both APIs; ends with the fleet. */
  startBalancer(): Promise<TestBalancer>
  adminToken(): Promise<string>
  /** SIGTERM, and the start of another in its place, from this checkout or that one; throws unless the first ended with 0. */
  restart(name: NodeName, checkout?: string): Promise<void>
  /** In the place of one that did not start. */
  start(name: NodeName): Promise<void>
  /** `kill -9`, and a start in its place, from this checkout. */
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

export async function startFleet(options: FleetOptions = {}): Promise<Fleet> {
  const { startPostgres = startEmbedded, checkout = here } = options
  await using started = new AsyncDisposableStack()
  const folder = await makeFolder('qflare-fleet-')
  started.defer(() => rm(folder, { recursive: true, force: true }))
  const dataDirectory = join(folder, 'postgres')
  let postgres = await startPostgres({ dataDirectory })
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
    QFLARE_TRUST_PROXY: '127.0.0.1',
    ...options.env,
  }
  const nodes = new Map<NodeName, FleetNode>()
  const servers: { port: number; operatorPort: number }[] = []
  for (const name of nodeNames) {
    const role = name.replace(/-\d$/, '')
    const own: Record<string, string> = { QFLARE_ROLES: role, QFLARE_DATA_DIR: join(folder, name) }
    if (role === 'api') {
      const server = { port: await findFreePort(), operatorPort: await findFreePort() }
      servers.push(server)
      Object.assign(own, { PORT: String(server.port), QFLARE_OPERATOR_PORT: String(server.operatorPort) })
    }
    nodes.set(name, createNode({ ...env, ...own }))
  }
  const getNode = (name: NodeName) => nodes.get(name) as FleetNode
  started.defer(async () => {
    for (const node of nodes.values()) await node.stop('SIGTERM')
  })
  // All at once, as a cluster does it.
  await Promise.all([...nodes.values()].map((node) => node.start(checkout)))

  const running = started.move()
  return {
    urls: servers.map(({ port }) => `http://127.0.0.1:${port}`),
    operatorUrls: servers.map(({ operatorPort }) => `http://127.0.0.1:${operatorPort}`),
    async startBalancer() {
      const balancer = await startTestBalancer(servers)
      running.defer(() => balancer.stop())
      return balancer
    },
    async adminToken() {
      for (const name of ['worker-1', 'worker-2']) {
        const text = await readFile(join(folder, name, 'admin-token'), 'utf8').catch(() => undefined)
        if (text !== undefined) return text.trim()
      }
      throw new Error('no worker wrote the admin token')
    },
    async restart(name, next = here) {
      const code = await getNode(name).stop('SIGTERM')
      if (code !== 0) throw new Error(`${name} ended with ${code}:\n${getNode(name).said().slice(-4_000)}`)
      await getNode(name).start(next)
    },
    start: (name) => getNode(name).start(here),
    async kill(name) {
      await getNode(name).stop('SIGKILL')
      await getNode(name).start(here)
    },
    queues,
    temporalKeys,
    async restartPostgres(how) {
      if (how === 'kill') await killPostgres(postgres.processId)
      await postgres.stop()
      postgres = await startPostgres({ dataDirectory })
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

function startEmbedded({ dataDirectory }: { dataDirectory: string }): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataDirectory, log: () => {} })
}
