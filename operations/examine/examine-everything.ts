import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from '../../database/open.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { Config } from '../../runtime/config.ts'
import type { Environment } from '../define-operation.ts'
import { examineAdminToken } from './examine-admin-token.ts'
import { examineClock, synchronization } from './examine-clock.ts'
import { examineConfiguration } from './examine-configuration.ts'
import { examineCustody, examineRootKey } from './examine-custody.ts'
import { examineDataFolder } from './examine-data-folder.ts'
import { examineLog, type LogParts } from './examine-log.ts'
import { examineNeighbours } from './examine-neighbours.ts'
import { examinePostgres, type PostgresExamination } from './examine-postgres.ts'
import { examineQueues } from './examine-queues.ts'
import { examineService } from './examine-service.ts'
import { examineTemporalKeys } from './examine-temporal-keys.ts'
import { examineTemporalRedis } from './examine-temporal-redis.ts'
import { examineTls } from './examine-tls.ts'
import { errorText, type Finding, findingsOf } from './finding.ts'
import type { KnownKeys } from './stored-key-findings.ts'

/** Of the examination of one part. */
const LIMIT_MS = 30_000

/** Every part of the service on this machine, in the order in which one rests on the other. Changes nothing, starts nothing. */
export async function examineEverything(env: Environment, url: string | undefined): Promise<Finding[]> {
  const { findings, config } = examineConfiguration(env)
  if (config === undefined) return findings
  const crypto = await choosePrimitives(config.crypto)
  const { findings: folderFindings, facts } = await examineDataFolder(config.dataDirectory)
  findings.push(...folderFindings)
  const uid = facts?.uid ?? 0
  const isOurs = [0, uid].includes(process.getuid?.() ?? 0)
  const postgres = await examinePostgresInTime(config, isOurs)
  findings.push(...postgres.findings)
  const parts = { env, config, crypto, uid, isOurs, hasFolder: facts !== undefined }
  findings.push(...(await guarded('database', () => examineInside(parts, postgres))))
  findings.push(...(await guarded('service', () => examineService(config, url, postgres.isInUse))))
  const { tls } = config.http
  if (tls !== undefined) findings.push(...(await guarded('TLS', () => examineTls(tls, Date.now()))))
  return findings
}

interface InsideParts {
  env: Environment
  config: Config
  crypto: Primitives
  /** Of the service's user, as the data folder has it. */
  uid: number
  isOurs: boolean
  hasFolder: boolean
}

/** What needs the database, where it can be asked; and what is left of it where it cannot. */
async function examineInside(parts: InsideParts, postgres: PostgresExamination): Promise<Finding[]> {
  const { config, hasFolder } = parts
  const { dataDirectory } = config
  if (postgres.connection === undefined) {
    const findings = [await examineRootKey(parts, postgres.isNew), synchronization()]
    findings.push(...(await guarded('temporal keys', () => examineStore(parts, Date.now(), undefined))))
    findings.push(...(await examineQueuesOf(parts, postgres, undefined)))
    if (!hasFolder) return findings
    findings.push(...(await guarded('admin token', () => examineAdminToken(dataDirectory, undefined))))
    return findings
  }
  const options = { ...postgres.connection, readOnly: true, maxConnections: 2, onConnectionLost: () => {} }
  const database = openDatabase(options)
  try {
    return await examineDatabase({ ...parts, database }, postgres)
  } finally {
    await database.close()
  }
}

async function examineDatabase(
  parts: InsideParts & { database: ReturnType<typeof openDatabase> },
  postgres: PostgresExamination,
): Promise<Finding[]> {
  const { config, crypto, database, hasFolder } = parts
  const { isInUse } = postgres
  const { dataDirectory } = config
  const { findings, now } = await examineClock(database)
  const custody = await examineCustody(parts, now)
  findings.push(...custody.findings)
  const rootKid = custody.opened?.serviceKeys.rootKid
  const known = rootKid === undefined ? undefined : { database, crypto, rootKid, isInUse }
  findings.push(...(await guarded('temporal keys', () => examineStore(parts, now, known))))
  findings.push(...(await examineQueuesOf(parts, postgres, rootKid)))
  const auditKeys = custody.opened?.serviceKeys.auditKeys
  findings.push(...(await guarded('audit log', () => examineLogOf(parts, postgres, { auditKeys, now }))))
  const { connection } = postgres
  if (connection !== undefined) {
    findings.push(...(await guarded('replicas', () => examineNeighbours(connection.connection))))
  }
  if (!hasFolder) return findings
  findings.push(...(await guarded('admin token', () => examineAdminToken(dataDirectory, { database, crypto, now }))))
  return findings
}

/** Wherever they are. Without `rootKid`, the Redis alone, where there is one. */
function examineQueuesOf(
  { config: { database, redisUrl } }: InsideParts,
  { connection: embedded, isInUse }: PostgresExamination,
  rootKid: string | undefined,
): Promise<Finding[]> {
  const login = database?.queues
  const connection =
    database === undefined
      ? embedded && { connection: embedded.connection, role: 'qflare_queues' }
      : login === undefined
        ? undefined
        : { connection: { connectionString: login }, role: undefined }
  return guarded('queues', () => examineQueues({ redisUrl, connection, rootKid }, isInUse))
}

/** As the sequencer, who may read it. */
async function examineLogOf(
  { config, crypto }: InsideParts,
  { connection: embedded, isInUse }: PostgresExamination,
  known: Pick<LogParts, 'auditKeys' | 'now'>,
): Promise<Finding[]> {
  const asSequencer =
    config.database === undefined
      ? embedded && { ...embedded, role: 'qflare_sequencer' }
      : embedded && { ...embedded, connection: { connectionString: config.database.sequencer } }
  if (asSequencer === undefined) return []
  const options = { ...asSequencer, readOnly: true, maxConnections: 1, onConnectionLost: () => {} }
  const database = openDatabase(options)
  try {
    return await examineLog({ ...known, config, crypto, database, isInUse })
  } finally {
    await database.close()
  }
}

/** Of temporal keys, wherever they are. */
async function examineStore(
  { config: { dataDirectory, temporalRedisUrl: url }, uid, hasFolder }: InsideParts,
  now: number,
  known: KnownKeys | undefined,
): Promise<Finding[]> {
  if (url !== undefined) return examineTemporalRedis({ url, now, known })
  return hasFolder ? examineTemporalKeys({ dataDirectory, uid, now, known }) : []
}

async function examinePostgresInTime(config: Config, isOurs: boolean): Promise<PostgresExamination> {
  let examined: PostgresExamination = { findings: [], connection: undefined, isInUse: false, isNew: false }
  const findings = await guarded('database', async () => {
    examined = await examinePostgres(config, isOurs)
    return examined.findings
  })
  return { ...examined, findings }
}

/** Garbage in one part keeps nobody from looking at the others, nor does what never answers. */
async function guarded(part: string, examine: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await Promise.race([examine(), failLate()])
  } catch (error) {
    const advice = 'What the message names is in the way; the parts after it were looked at.'
    return [findingsOf(part).problem(`it could not be examined (${errorText(error)})`, advice)]
  }
}

async function failLate(): Promise<never> {
  await sleep(LIMIT_MS, undefined, { ref: false })
  throw new Error(`no answer within ${LIMIT_MS / 1000} s`)
}
