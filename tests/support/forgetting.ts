import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientConfig } from 'pg'
import { BUCKET_MS, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { openTemporalRecord } from '../../runtime/temporal/temporal-record.ts'
import { createTemporalKeys } from '../../server/services/temporal-keys.ts'
import { call } from './api.ts'
import type { Canary } from './byte-search.ts'
import type { KnownSession } from './known-session.ts'
import { withSql } from './search-places.ts'
import { deriveServerKey } from './server-keys.ts'
import { crypto, type TestService } from './service.ts'
import type { ServiceProcess } from './service-process.ts'

/** What a thief of everything has: database, store, and the root key, which opens the keyring. */
export type StolenParts = Pick<Parameters<typeof createTemporalKeys>[0], 'database' | 'store' | 'keyring'>

const TAG_BYTES = 16

/** To the end of the epoch and its grace, wherever in it we are. */
const STEP_MS = BUCKET_MS + GRACE_MS + 1_000
/** The API looks every second what it still holds; what was under way may have held it until the last time. */
const CACHES_END_MS = 3_500

/** Of a process whose time passes when it is told to, and which keeps keys as a service should. */
export const movingClock = {
  NODE_OPTIONS: '--import ./tests/support/moving-clock.ts',
  TEST_CLOCK_STEP_MS: String(STEP_MS),
  QFLARE_CRYPTO: 'native',
}

/** The keys of the epoch and of its bucket, as they are and as they are sealed: the root key opens that too. */
export async function learnKeys(parts: StolenParts, epoch: number): Promise<{ canaries: Canary[]; hashes: Canary[] }> {
  const canaries: Canary[] = []
  const hashes: Canary[] = []
  for (const kind of ['epoch', 'bucket'] as const) {
    const name = { kind, number: epoch, generation: 0 }
    const record = await parts.store.find(name)
    if (record === undefined) throw new Error(`there is no ${kind} key ${epoch}`)
    canaries.push({ what: `${kind} key`, bytes: await openTemporalRecord(parts.keyring, name, record) })
    // Without its tag, which is left where it was verified: it tells nothing of a ciphertext that is gone.
    canaries.push({ what: `${kind} record`, bytes: record.subarray(0, record.length - TAG_BYTES) })
    hashes.push({ what: 'hash of the record', bytes: crypto.hash256(record) })
  }
  return { canaries, hashes }
}

/** The session's key of its first epoch, with the service's own code and a clock that says that it is still time. */
export async function openAsThief(
  parts: StolenParts,
  superuser: ClientConfig,
  { sessionId, epoch }: KnownSession,
): Promise<Uint8Array> {
  const now = epoch * BUCKET_MS + 1
  const clock = { now: () => now, offsetMs: () => 0, measuredAt: () => now, measure: async () => {} }
  const temporalKeys = createTemporalKeys({ ...parts, crypto, clock })
  try {
    const names = { sessionId, epoch, purpose: 'encryption' } as const
    return await withSql(superuser, (sql) => deriveServerKey({ database: { sql }, temporalKeys, crypto }, names))
  } finally {
    temporalKeys.close()
  }
}

/**
 * Until the keys of the epoch are destroyed. Once more where a process just measured its clock by that of the database, whose time is
 * the real one.
 */
export async function passTime(
  processes: readonly Pick<ServiceProcess, 'kill'>[],
  superuser: ClientConfig,
  epoch: number,
): Promise<void> {
  for (let steps = 0; steps < 5; steps++) {
    for (const each of processes) each.kill('SIGUSR2')
    for (let looks = 0; looks < 40; looks++) {
      if ((await countDestroyed(superuser, epoch)) === 2) return
      await sleep(250)
    }
  }
  throw new Error('the keys are not destroyed')
}

/** The API has dropped what it had of them: however busy the machine is, it has asked its database since. */
export async function waitForCaches(service: Pick<TestService, 'url'>): Promise<void> {
  await sleep(CACHES_END_MS)
  for (let times = 0; times < 3; times++) await call(service, 'GET', '/ready')
}

async function countDestroyed(superuser: ClientConfig, epoch: number): Promise<number> {
  const text = 'select from temporal_key where number = $1 and destroyed_at is not null'
  return (await withSql(superuser, (sql) => sql.query(text, [epoch]))).rowCount ?? 0
}
