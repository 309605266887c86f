import type { Redis } from 'ioredis'
import { secretBytes } from '../../protocol/encoding.ts'
import { BUCKET_MS, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { RedisError, readRedisSetting } from '../redis.ts'
import { parseRecordName, toRecordName } from './record-name.ts'
import { type TemporalKeyName, type TemporalKeyStore, TemporalStoreError } from './temporal-key-store.ts'
import { temporalRecordBytes } from './temporal-record.ts'

/** How long Redis keeps a record that nobody destroyed, after the end of its grace (docs/protocol.md §6). */
const KEPT_AFTER_GRACE_MS = 600_000

/** What a Redis has to be set to, so that what is deleted in it is nowhere else, and nothing is deleted for want of room. */
const requiredSettings = { save: '', appendonly: 'no', 'maxmemory-policy': 'noeviction' } as const

/**
 * Zeros before every record, of the length up to which the log of slow commands keeps an argument: of a record that was slow to write
 * it keeps these.
 */
const LEAD_BYTES = 128
/**
 * Longer than a command with a record (350 bytes), and than its answer. It and its answer fit into the least that Redis gives a
 * connection for answers (1 KiB): one that needs more is given more, and later less again, and what it had is freed as it is.
 */
const FILLER = ' '.repeat(800)

/** Before the name of every record of one root of trust. */
function prefixOf(rootKid: string): string {
  return `qflare:temporal:${rootKid}:`
}

/**
 * Records in the memory of a Redis that several processes share, gone when it ends. The caller opens and closes `redis`. Throws
 * RedisError for one that writes to a disk or evicts: at once, and when a record is to be written after it was started anew.
 *
 * What passed is not left behind at either end (decision 0025): `openRedis` wipes it here, and Redis writes it over: in the buffers of
 * this connection by what is sent after it, and where it was kept before that is freed.
 */
export async function openRedisTemporalKeyStore(redis: Redis, rootKid: string): Promise<TemporalKeyStore> {
  const prefix = prefixOf(rootKid)
  const keyOf = (name: TemporalKeyName) => prefix + toRecordName(name)
  let examination: Promise<void> | undefined
  redis.on('close', () => {
    examination = undefined
  })
  const examined = () => {
    examination ??= refusePersistence(redis).catch((error: unknown) => {
      examination = undefined
      throw error
    })
    return examination
  }
  await examined()

  async function answerOf<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (cause) {
      const reason = redis.status === 'ready' && cause instanceof Error ? cause.message : 'there is no connection'
      throw new TemporalStoreError(`Redis (temporal keys) does not serve: ${reason}`, { cause })
    }
  }

  let last: Promise<unknown> = Promise.resolve()
  /**
   * One after another, so that nothing stands before a record in the buffers of Redis. Who waits behind one that failed fails with it,
   * or many would wait for a Redis that hangs, one after another.
   */
  function inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = last.then(() => answerOf(step()))
    last = turn
    turn.catch(() => {
      if (last === turn) last = Promise.resolve()
    })
    return turn
  }

  /**
   * `step` sends one command with which a record passes. What is sent when it has been answered, and comes back, stands over both in
   * the buffers of Redis, which begins anew then.
   */
  function passing<T>(step: () => Promise<T>): Promise<T> {
    return inTurn(async () => {
      const answer = await step()
      await redis.echo(FILLER)
      return answer
    })
  }

  /** What somebody put there that is no string, or no record, opens as little as any other bytes that are not ours. */
  async function read(key: string): Promise<Uint8Array | undefined> {
    try {
      const value = await redis.getBuffer(key)
      if (value === null) return undefined
      // A copy, at once: the answer is wiped in the next turn.
      const record = secretBytes(Math.max(0, value.length - LEAD_BYTES))
      record.set(value.subarray(LEAD_BYTES))
      value.fill(0)
      return record
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('WRONGTYPE ')) return new Uint8Array(0)
      throw error
    }
  }

  return {
    isErasable: true,
    async makeOnce(name, record) {
      await examined()
      const endsAt = (name.number + 1) * BUCKET_MS + GRACE_MS + KEPT_AFTER_GRACE_MS
      const key = keyOf(name)
      const value = Buffer.from(secretBytes(LEAD_BYTES + record.length).buffer)
      value.set(record, LEAD_BYTES)
      try {
        await passing(() => redis.set(key, value, 'PXAT', endsAt, 'NX'))
      } finally {
        value.fill(0)
      }
      const stored = await passing(() => read(key))
      if (stored !== undefined) return stored
      throw new TemporalStoreError(
        `Redis (temporal keys) did not keep ${toRecordName(name)}: is its clock right, and does nobody else delete in it?`,
      )
    },
    find: (name) => passing(() => read(keyOf(name))),
    async list() {
      const names = new Set<string>()
      let cursor = '0'
      do {
        const [next, keys] = await inTurn(() => redis.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 1_000))
        for (const key of keys) names.add(key.slice(prefix.length))
        cursor = next
      } while (cursor !== '0')
      return [...names].map(parseRecordName).filter((name) => name !== undefined)
    },
    async destroy(name) {
      const key = keyOf(name)
      // Of exactly its length, or Redis would write somewhere else. What is no string is no record, and is only deleted.
      const blank = Buffer.alloc(LEAD_BYTES + temporalRecordBytes(name.kind))
      const answers = await inTurn(() => redis.multi().exists(key).setrange(key, 0, blank).del(key).exec())
      const [existed, , deleted] = answers ?? []
      const refused = existed?.[0] ?? deleted?.[0]
      if (refused != null) throw new TemporalStoreError(`Redis (temporal keys) refuses: ${refused.message}`)
      return existed?.[1] === 1
    },
  }
}

/** Throws RedisError that names each setting that is wrong, and what it has to be. */
async function refusePersistence(redis: Redis): Promise<void> {
  const wrong: string[] = []
  for (const [setting, wanted] of Object.entries(requiredSettings)) {
    const value = await readRedisSetting(redis, setting)
    if (value !== wanted) wrong.push(`its ${setting} is "${value}" and has to be "${wanted}"`)
  }
  if (wrong.length === 0) return
  throw new RedisError(
    `QFLARE_TEMPORAL_REDIS_URL: this Redis cannot keep temporal keys: ${wrong.join(', ')}. Temporal keys need a Redis of` +
      ' their own that writes nothing to a disk and deletes nothing by itself before its time.',
  )
}
