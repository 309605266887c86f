import type { Redis } from 'ioredis'
import { BUCKET_MS, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { RedisError, readRedisSetting } from '../redis.ts'
import { parseRecordName, toRecordName } from './record-name.ts'
import { type TemporalKeyName, type TemporalKeyStore, TemporalStoreError } from './temporal-key-store.ts'

/** How long Redis keeps a record that nobody destroyed, after the end of its grace (docs/protocol.md §6). */
const KEPT_AFTER_GRACE_MS = 600_000

/** What a Redis has to be set to, so that what is deleted in it is nowhere else, and nothing is deleted for want of room. */
const requiredSettings = { save: '', appendonly: 'no', 'maxmemory-policy': 'noeviction' } as const

/** Before the name of every record of one root of trust. */
function prefixOf(rootKid: string): string {
  return `qflare:temporal:${rootKid}:`
}

/**
 * Records in the memory of a Redis that several processes share, gone when it ends. The caller opens and closes `redis`. Throws
 * RedisError for one that writes to a disk or evicts: at once, and when a record is to be written after it was started anew.
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

  /** What somebody put there that is no string opens as little as any other bytes that are not ours. */
  async function read(key: string): Promise<Buffer | null> {
    try {
      return await redis.getBuffer(key)
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('WRONGTYPE ')) return Buffer.alloc(0)
      throw error
    }
  }

  return {
    isErasable: true,
    async makeOnce(name, record) {
      await examined()
      const endsAt = (name.number + 1) * BUCKET_MS + GRACE_MS + KEPT_AFTER_GRACE_MS
      const key = keyOf(name)
      // A copy: a command that was given up is sent again when the connection is back, and the caller may have wiped his by then.
      await answerOf(redis.set(key, Buffer.from(record), 'PXAT', endsAt, 'NX'))
      const stored = await answerOf(read(key))
      if (stored !== null) return stored
      throw new TemporalStoreError(
        `Redis (temporal keys) did not keep ${toRecordName(name)}: is its clock right, and does nobody else delete in it?`,
      )
    },
    find: async (name) => (await answerOf(read(keyOf(name)))) ?? undefined,
    async list() {
      const names = new Set<string>()
      let cursor = '0'
      do {
        const [next, keys] = await answerOf(redis.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 1_000))
        for (const key of keys) names.add(key.slice(prefix.length))
        cursor = next
      } while (cursor !== '0')
      return [...names].map(parseRecordName).filter((name) => name !== undefined)
    },
    // DEL and not UNLINK, which frees the memory later.
    destroy: async (name) => (await answerOf(redis.del(keyOf(name)))) === 1,
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
