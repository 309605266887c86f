import type { Database } from '../../database/open.ts'
import {
  type BucketCertificateRow,
  findBucketCertificate,
  listNewestTemporalKeys,
  listTemporalKeys,
  type TemporalKeyRow,
} from '../../database/repositories/temporal-keys.ts'
import { encode, u64 } from '../../protocol/encoding.ts'
import { BUCKET_MS, GRACE_MS, isBucketAccepted } from '../../protocol/exchange/bucket.ts'
import type { BucketCertificate } from '../../protocol/exchange/messages.ts'
import type { DecapsulationKey, Primitives } from '../../protocol/primitives.ts'
import type { Suite } from '../../protocol/suites.ts'
import type { Clock } from '../../runtime/clock.ts'
import { createDroppedKeys } from '../../runtime/collect-dropped-keys.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import { openTemporalRecord } from '../../runtime/temporal/temporal-record.ts'
import { ServiceError } from '../errors.ts'

export interface EpochKey {
  /** AES-256 key of the chains of this epoch. */
  seal: Uint8Array
  /** Key of the access tokens that expire in this epoch. */
  accessToken: Uint8Array
  generation: number
}

export interface BucketKey {
  certificate: BucketCertificate
  key: DecapsulationKey
  generation: number
}

/**
 * The temporal keys as the API uses them: read from the store, held against what the database recorded, and kept until the
 * grace is over or another process recorded their destruction or a newer generation; then a timer drops them. A key that was
 * destroyed or lost is undefined. An epoch key is used before anything else is awaited, or it may have been wiped.
 */
export interface TemporalKeys {
  findEpochKey(epoch: number): Promise<EpochKey | undefined>
  /** All of `first` to `last`; `unavailable` when one is missing. */
  getEpochKeys(first: number, last: number): Promise<EpochKey[]>
  findBucketKey(suite: Suite, bucket: number): Promise<BucketKey | undefined>
  /** Drops every cached key whose time is over; called by a timer, and by tests. */
  dropEnded(): void
  /** Drops every cached key that is not the newest of its name any more; called by a timer, and by tests. */
  dropReplaced(): Promise<void>
  close(): void
}

const DROP_EVERY_MS = 1_000

export function createTemporalKeys(parts: {
  database: Database
  store: TemporalKeyStore
  keyring: Keyring
  crypto: Primitives
  clock: Clock
}): TemporalKeys {
  const { crypto, clock } = parts
  const epochs = new Map<number, Promise<EpochKey | undefined>>()
  const buckets = new Map<`${Suite} ${number}`, Promise<BucketKey | undefined>>()
  const dropped = createDroppedKeys()

  async function findSecret(row: TemporalKeyRow | undefined): Promise<Uint8Array | undefined> {
    if (row === undefined || row.destroyedAt !== undefined) return undefined
    const record = await parts.store.find(row)
    // A store that was rolled back or written to holds another record than the one that was recorded: it is not used.
    if (record === undefined) return undefined
    try {
      if (!crypto.equal(crypto.hash256(record), row.recordHash)) return undefined
      // Awaited here: the record is wiped when this ends.
      return await openTemporalRecord(parts.keyring, row, record)
    } finally {
      record.fill(0)
    }
  }

  async function readEpochKey(epoch: number): Promise<EpochKey | undefined> {
    const [row] = await parts.database.withoutOrganization((tx) => listTemporalKeys(tx, 'epoch', epoch))
    const secret = await findSecret(row)
    if (secret === undefined) return undefined
    const accessToken = crypto.hmac512(secret, encode('QFLARE-v1 access token key', u64(epoch))).subarray(0, 32)
    return { seal: secret, accessToken, generation: row?.generation ?? 0 }
  }

  async function readBucketKey(suite: Suite, bucket: number): Promise<BucketKey | undefined> {
    const { row, certificate } = await parts.database.withoutOrganization(async (tx) => ({
      row: (await listTemporalKeys(tx, 'bucket', bucket))[0],
      certificate: await findBucketCertificate(tx, suite, bucket),
    }))
    if (row === undefined || certificate?.generation !== row.generation) return undefined
    const seed = await findSecret(row)
    if (seed === undefined) return undefined
    const key = crypto.importDecapsulationKey(suite, seed)
    seed.fill(0)
    // The certificate stands in the database, the key outside: a certificate of another key is not served.
    if (!crypto.equal(key.encapsulationKey, certificate.publicKey)) return undefined
    return { certificate: toCertificate(certificate), key, generation: row.generation }
  }

  let isLooking = false
  const timer = setInterval(() => {
    dropEnded()
    dropped.collect()
    if (isLooking) return
    isLooking = true
    // The database is away, and without it no key is used; a second later it is asked again.
    void dropReplaced()
      .catch(() => {})
      .finally(() => {
        isLooking = false
      })
  }, DROP_EVERY_MS).unref()

  /** What was lost is made anew by a worker, elsewhere perhaps, and may be destroyed by one whose clock is ahead of ours. */
  async function dropReplaced(): Promise<void> {
    const cachedNumbers = [...epochs.keys(), ...[...buckets.keys()].map(bucketOf)]
    if (cachedNumbers.length === 0) return
    const first = Math.min(...cachedNumbers)
    const newest = await parts.database.withoutOrganization((tx) => listNewestTemporalKeys(tx, first))
    const alive = new Map(
      newest.filter(({ destroyedAt }) => destroyedAt === undefined).map((row) => [nameOf(row), row]),
    )
    const isReplaced = (kind: TemporalKeyRow['kind'], number: number, { generation }: { generation: number }) =>
      alive.get(nameOf({ kind, number }))?.generation !== generation
    for (const [epoch, reading] of epochs) {
      const key = await reading.catch(() => undefined)
      if (key === undefined || !isReplaced('epoch', epoch, key)) continue
      if (epochs.get(epoch) === reading) epochs.delete(epoch)
      wipeSoon(key)
    }
    for (const [name, reading] of buckets) {
      const key = await reading.catch(() => undefined)
      if (key !== undefined && isReplaced('bucket', bucketOf(name), key)) dropBucket(name, reading)
    }
  }

  function dropBucket(name: `${Suite} ${number}`, reading: Promise<BucketKey | undefined>): void {
    if (buckets.get(name) === reading) buckets.delete(name)
    reading.then(
      (bucket) => bucket !== undefined && dropped.add(bucket.key),
      () => {},
    )
  }

  function dropEnded(): void {
    const now = clock.now()
    for (const [epoch, key] of epochs) {
      if (now < (epoch + 1) * BUCKET_MS + GRACE_MS) continue
      epochs.delete(epoch)
      key.then(wipeSoon, () => {})
    }
    for (const [name, reading] of buckets) {
      if (now >= (bucketOf(name) + 1) * BUCKET_MS + GRACE_MS) dropBucket(name, reading)
    }
  }

  const findEpochKey = (epoch: number) => {
    if (clock.now() >= (epoch + 1) * BUCKET_MS + GRACE_MS) return Promise.resolve(undefined)
    return cached(epochs, epoch, () => readEpochKey(epoch))
  }
  return {
    findEpochKey,
    async getEpochKeys(first, last) {
      const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i)
      const keys = await Promise.all(numbers.map(findEpochKey))
      // While one was read another may have been dropped: nothing may be sealed under what is left of it.
      if (keys.some((key) => key === undefined || isWiped(key))) {
        throw new ServiceError('unavailable', 'Temporal keys are missing; they are being made anew.')
      }
      return keys as EpochKey[]
    },
    async findBucketKey(suite, bucket) {
      if (!isBucketAccepted(bucket, clock.now()) && bucket * BUCKET_MS > clock.now() + BUCKET_MS) return undefined
      return cached(buckets, `${suite} ${bucket}`, () => readBucketKey(suite, bucket))
    },
    dropEnded,
    dropReplaced,
    close() {
      clearInterval(timer)
    },
  }
}

function nameOf({ kind, number }: Pick<TemporalKeyRow, 'kind' | 'number'>): string {
  return `${kind}-${number}`
}

/** Of a name in the cache, `<suite> <bucket>`. */
function bucketOf(name: string): number {
  return Number(name.split(' ')[1])
}

function isWiped({ seal }: EpochKey): boolean {
  return seal.every((byte) => byte === 0)
}

/** In a turn of its own: who was given the key before has used it by then. */
function wipeSoon(key: EpochKey | undefined): void {
  setImmediate(() => {
    key?.seal.fill(0)
    key?.accessToken.fill(0)
  })
}

/** Keeps what was found; what was not found, or failed, is asked for again. */
function cached<K, T>(
  cache: Map<K, Promise<T | undefined>>,
  name: K,
  read: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const held = cache.get(name)
  if (held !== undefined) return held
  const reading = read()
  cache.set(name, reading)
  const forget = () => cache.get(name) === reading && cache.delete(name)
  void reading.then((value) => value === undefined && forget(), forget)
  return reading
}

function toCertificate(row: BucketCertificateRow): BucketCertificate {
  const notBefore = row.bucket * BUCKET_MS
  const { suite, bucket, kid, publicKey, signature } = row
  return { suite, bucket, notBefore, notAfter: notBefore + BUCKET_MS, publicKey, kid, signature }
}
