import type { Redis } from 'ioredis'
import { createLogger } from '../../runtime/logger.ts'
import { openRedis, RedisError, waitForRedis } from '../../runtime/redis.ts'
import { openRedisTemporalKeyStore } from '../../runtime/temporal/redis-temporal-key-store.ts'
import { type Finding, findingsOf } from './finding.ts'
import { type KnownKeys, overdueFindings, presentFinding, unknownFindings } from './stored-key-findings.ts'

const { ok, problem, unseen } = findingsOf('temporal keys')

const CONNECT_WITHIN_MS = 5_000
const SETTINGS_ADVICE = 'docs/operations.md, Temporal keys in Redis, shows how it is set.'
const OVERDUE_ADVICE = 'A worker destroys them; Redis itself does ten minutes after their time.'
const UNKNOWN_ADVICE = 'The next start of a worker destroys them.'

/** Where they are in Redis. Without `known`, only whether it could keep them. Changes nothing. */
export async function examineTemporalRedis(options: {
  url: string
  now: number
  known: KnownKeys | undefined
}): Promise<Finding[]> {
  const redis = openRedis({ url: options.url, name: 'temporal keys', logger: createLogger('silent'), wipes: true })
  try {
    await waitForRedis(redis, 'temporal keys', CONNECT_WITHIN_MS)
    return await examineStore(redis, options)
  } catch (error) {
    if (!(error instanceof RedisError)) throw error
    return [problem(error.message, SETTINGS_ADVICE)]
  } finally {
    redis.disconnect()
  }
}

async function examineStore(
  redis: Redis,
  { known, now }: { known: KnownKeys | undefined; now: number },
): Promise<Finding[]> {
  const store = await openRedisTemporalKeyStore(redis, known?.rootKid ?? '')
  const findings = [ok('their Redis answers, writes nothing to a disk and evicts nothing')]
  if (known === undefined) {
    return [
      ...findings,
      unseen('their records were not looked at', 'They are held against the database, when it answers.'),
    ]
  }
  const records = await store.list()
  findings.push(...overdueFindings(records, now, known.isInUse, OVERDUE_ADVICE))
  findings.push(await presentFinding(store.find, known, now))
  findings.push(...(await unknownFindings(records, known, UNKNOWN_ADVICE)))
  return findings
}
