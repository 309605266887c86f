import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { BUCKET_MS, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { RedisError, readRedisSetting } from '../redis.ts'
import { parseRecordName, toRecordName } from './record-name.ts'
import { coverPieces, LEAD_BYTES, readPieces, writePieces } from './redis-pieces.ts'
import { type TemporalKeyName, type TemporalKeyStore, TemporalStoreError } from './temporal-key-store.ts'
import { temporalRecordBytes } from './temporal-record.ts'

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
 *
 * What passed is not left behind at either end (decision 0025): `openRedis` wipes it here; Redis sees it in pieces and writes them
 * over, in the buffers of this connection by what is sent after them, and where it was kept before that is freed.
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

  /** Of the steps with which a record passes nothing is left in the buffers of Redis but what comes after them. */
  function passing<T>(step: () => Promise<T>): Promise<T> {
    return inTurn(async () => {
      const answer = await step()
      await coverPieces(redis)
      return answer
    })
  }

  /** A record of another process that is there already stays. */
  async function make(key: string, record: Uint8Array, endsAt: number): Promise<void> {
    if ((await redis.exists(key)) === 1) return
    // No name of a record (`parseRecordName`): what a process leaves behind that dies here is nobody's key, and ends with its time.
    const own = `${key}-new-${randomBytes(16).toString('hex')}`
    if (!(await writePieces(redis, own, { record, endsAt }))) return
    if ((await redis.renamenx(own, key)) === 0) await blank(own, record.length)
  }

  /** Whether it was there. Written over in place, of exactly its length, or Redis would write somewhere else. What is no string is only deleted. */
  async function blank(key: string, length: number): Promise<boolean> {
    const zeros = Buffer.alloc(LEAD_BYTES + length)
    const [existed, , deleted] = (await redis.multi().exists(key).setrange(key, 0, zeros).del(key).exec()) ?? []
    const refused = existed?.[0] ?? deleted?.[0]
    if (refused != null) throw new TemporalStoreError(`Redis (temporal keys) refuses: ${refused.message}`)
    return existed?.[1] === 1
  }

  return {
    isErasable: true,
    async makeOnce(name, record) {
      await examined()
      const endsAt = (name.number + 1) * BUCKET_MS + GRACE_MS + KEPT_AFTER_GRACE_MS
      const key = keyOf(name)
      await passing(() => make(key, record, endsAt))
      const stored = await passing(() => readPieces(redis, key, record.length))
      if (stored !== undefined) return stored
      throw new TemporalStoreError(
        `Redis (temporal keys) did not keep ${toRecordName(name)}: is its clock right, and does nobody else delete in it?`,
      )
    },
    find: (name) => passing(() => readPieces(redis, keyOf(name), temporalRecordBytes(name.kind))),
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
    destroy: (name) => inTurn(() => blank(keyOf(name), temporalRecordBytes(name.kind))),
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
