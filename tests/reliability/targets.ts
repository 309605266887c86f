import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../database/embedded.ts'
import { inspectEmbedded } from '../../database/inspect-embedded.ts'
import { loginsOf, prepareOwnPostgres } from '../support/own-postgres.ts'
import { createKilledService, type KilledService, makeFolder } from './killed-service.ts'
import { killPostgres } from './postgres-processes.ts'
import { sendRequest } from './send-request.ts'

/**
 * What is killed: `api`, the service with its sequencer, whose embedded PostgreSQL is left for the next start; `embedded`, that
 * PostgreSQL, after which the service ends by itself; `postgres`, a server of the operator's own, after which the service goes on.
 */
export const targetNames = ['api', 'embedded', 'postgres'] as const
export type TargetName = (typeof targetNames)[number]

export interface Target {
  /** Starts what was killed; the URL of the API when it answers again. */
  start(): Promise<string>
  /** SIGKILL, and for `embedded` until the service has ended too. */
  kill(): Promise<void>
  /** As the superuser, behind the service. Undefined where no server runs. The caller ends it. */
  connect(): Promise<Client | undefined>
  dataDirectory: string
  adminToken(): Promise<string>
  /** Ends in peace what runs, and removes everything. Throws unless the service ended as it should. May be called again. */
  close(): Promise<void>
}

export function createTarget(name: TargetName): Promise<Target> {
  return name === 'postgres' ? createOwnPostgresTarget() : createEmbeddedTarget(name)
}

async function createEmbeddedTarget(name: 'api' | 'embedded'): Promise<Target> {
  const service = await createKilledService()
  const inspect = () => inspectEmbedded(service.dataDirectory)
  let isCompiled = false

  return {
    ...common(service),
    async start() {
      // Only a process that ends in peace leaves what it compiled to the next.
      if (!isCompiled) {
        await service.start()
        await stopService(service)
      }
      isCompiled = true
      return service.start()
    },
    async kill() {
      if (name === 'api') return service.kill()
      const found = await inspect()
      if (found.state !== 'running') throw new Error(`the embedded PostgreSQL is ${found.state}`)
      await killPostgres(found.processId)
      const exitCode = await service.ended()
      if (exitCode !== 1) throw new Error(`the service ended with ${exitCode} when its PostgreSQL was killed`)
    },
    async connect() {
      const found = await inspect()
      if (found.state !== 'running') return undefined
      return open(new Client(found.superuser))
    },
    async close() {
      try {
        await stopService(service)
      } finally {
        // Of a start that failed, or of the last kill.
        const found = await inspect()
        if (found.state === 'running') await killPostgres(found.processId)
        await service.removeFolder()
      }
    },
  }
}

const DATABASE = 'service'
const READY_WITHIN_MS = 60_000

async function createOwnPostgresTarget(): Promise<Target> {
  const server = await makeFolder('qflare-killed-postgres-')
  let postgres: EmbeddedPostgres | undefined
  let service: KilledService | undefined
  let url = ''
  const startServer = async () => {
    postgres = await startEmbeddedPostgres({ dataDirectory: server, log: () => {} })
    return postgres
  }
  const connect = ({ host, superuserPassword: password }: EmbeddedPostgres) =>
    open(new Client({ host, user: 'postgres', password, database: DATABASE }))
  const made = await startServer()
  await prepareOwnPostgres(made)
  service = await createKilledService({ ...loginsOf(made), QFLARE_ROOT_KEY: randomBytes(32).toString('hex') })
  const { start, isRunning } = service

  return {
    ...common(service),
    async start() {
      if (postgres === undefined) await startServer()
      if (url === '') url = await start()
      await untilAnswering(url, isRunning)
      return url
    },
    async kill() {
      if (postgres === undefined) return
      await killPostgres(postgres.processId)
      await postgres.stop()
      postgres = undefined
    },
    connect: async () => (postgres === undefined ? undefined : connect(postgres)),
    async close() {
      try {
        if (service !== undefined) await stopService(service)
      } finally {
        await postgres?.stop()
        await service?.removeFolder()
        await rm(server, { recursive: true, force: true })
      }
    },
  }
}

function common(service: KilledService): Pick<Target, 'dataDirectory' | 'adminToken'> {
  return { dataDirectory: service.dataDirectory, adminToken: service.adminToken }
}

async function stopService(service: KilledService): Promise<void> {
  if (!service.isRunning()) return
  const exitCode = await service.stop()
  if (exitCode !== 0) throw new Error(`the service ended with ${exitCode} when it was asked to`)
}

async function untilAnswering(url: string, isRunning: () => boolean): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS
  while ((await sendRequest({ url }, { method: 'GET', path: '/v1/trust' })).status !== 200) {
    if (!isRunning()) throw new Error('the service ended when its PostgreSQL was killed')
    if (performance.now() > deadline) throw new Error('the service does not answer again')
    await sleep(20)
  }
}

async function open(client: Client): Promise<Client> {
  // It is killed with its server.
  client.on('error', () => {})
  await client.connect()
  return client
}

export function checkpointFileOf(target: Target): string {
  return join(target.dataDirectory, 'audit-checkpoint')
}
