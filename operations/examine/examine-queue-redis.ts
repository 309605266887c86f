import type { Redis } from 'ioredis'
import { isVersionAtLeast } from '../../protocol/attestation/versions.ts'
import { MAX_CLOCK_OFFSET_MS } from '../../runtime/clock.ts'
import { RedisError, readRedisSetting } from '../../runtime/redis.ts'
import { formatBytes } from '../format-bytes.ts'
import { type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('queues')

/** What BullMQ asks for; tested is 7.0. */
const LEAST_VERSION = '6.2'
const NEARLY_FULL = 0.75
const FULL = 0.95

/** The Redis of REDIS_URL itself, which answers: whether the queues may rest on it. `now`: this machine's time, by which they go. */
export async function examineQueueRedis(redis: Redis, now: () => number): Promise<Finding[]> {
  const facts = parseInfo(await redis.info())
  const version = facts.get('redis_version') ?? ''
  const findings = [
    isVersionAtLeast(version, LEAST_VERSION)
      ? ok(`their Redis ${version} answers`)
      : problem(`their Redis is ${version}: the queues need ${LEAST_VERSION} at least`, 'Upgrade it; 7.0 is tested.'),
    await evictionFinding(redis),
    memoryFinding(facts),
    ...writabilityFindings(facts),
    await clockFinding(redis, now),
  ]
  return findings
}

async function evictionFinding(redis: Redis): Promise<Finding> {
  try {
    const policy = await readRedisSetting(redis, 'maxmemory-policy')
    if (policy === 'noeviction') return ok('it evicts nothing when it is full')
    const advice =
      'Set maxmemory-policy noeviction, in redis.conf or with CONFIG SET: the service does not start without.'
    return problem(`its maxmemory-policy is ${policy}: when it is full it throws jobs away`, advice)
  } catch (error) {
    if (!(error instanceof RedisError)) throw error
    return unseen(
      error.message,
      'Allow CONFIG GET to the user of REDIS_URL, or look there: maxmemory-policy noeviction.',
    )
  }
}

function memoryFinding(facts: ReadonlyMap<string, string>): Finding {
  const used = Number(facts.get('used_memory'))
  const most = Number(facts.get('maxmemory') ?? 0)
  if (most === 0) return ok(`it holds ${formatBytes(used)}, and has no maxmemory`)
  const share = used / most
  const text = `it holds ${formatBytes(used)} of ${formatBytes(most)}`
  const advice = 'Give it more memory, and see what fills it: qflare jobs list, and limits of many addresses.'
  if (share >= FULL) return problem(`${text}: writes fail when it is full`, advice)
  return share >= NEARLY_FULL ? warning(text, advice) : ok(text)
}

/** Why it would take no writes. Persistence is as its owner likes: queues hold nothing that must survive. */
function writabilityFindings(facts: ReadonlyMap<string, string>): Finding[] {
  const findings: Finding[] = []
  if (facts.get('role') === 'slave') {
    findings.push(problem('it is a replica, and takes no writes', 'Name the primary in REDIS_URL.'))
  }
  if (facts.get('rdb_last_bgsave_status') === 'err' || facts.get('aof_last_write_status') === 'err') {
    const advice =
      'Its log says why (no room, no right to the folder). The queues need nothing on a disk: save "" and appendonly no.'
    findings.push(problem('it failed to write to its disk, and may refuse writes until it can', advice))
  }
  return findings
}

async function clockFinding(redis: Redis, now: () => number): Promise<Finding> {
  const askedAt = now()
  const [seconds, microseconds] = await redis.time()
  const there = Number(seconds) * 1_000 + Number(microseconds) / 1_000
  const offsetMs = Math.round(there - (askedAt + now()) / 2)
  const text = `its clock is ${Math.abs(offsetMs)} ms off this machine's`
  if (Math.abs(offsetMs) <= MAX_CLOCK_OFFSET_MS) return ok(text)
  return warning(text, 'Synchronize both (NTP): schedules and limits go by them.')
}

function parseInfo(text: string): ReadonlyMap<string, string> {
  const pairs = text.split('\r\n').map((line) => line.split(':'))
  return new Map(pairs.flatMap(([name, value]) => (name && value !== undefined ? [[name, value]] : [])))
}
