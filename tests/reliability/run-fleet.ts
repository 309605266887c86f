import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { type Fleet, nodeNames, startFleet } from './fleet.ts'
import { type FleetLoad, type FleetLoadReport, startFleetLoad } from './fleet-load.ts'
import { requireLog } from './fleet-log.ts'

const DEVICES = 6
const SETTLED_WITHIN_MS = 90_000
const READY_WITHIN_MS = 90_000

/** What is done to a fleet under load, by name, in this order. */
const faults: Record<string, (fleet: Fleet) => Promise<void>> = {
  ...Object.fromEntries(nodeNames.map((name) => [`restart of ${name}`, (fleet: Fleet) => fleet.restart(name)])),
  ...Object.fromEntries(nodeNames.map((name) => [`kill -9 of ${name}`, (fleet: Fleet) => fleet.kill(name)])),
  'queues flushed': async ({ queues }) => void (await queues.client.flushall()),
  'Redis of the queues killed': async ({ queues }) => {
    await queues.kill()
    await sleep(1_000)
    await queues.restart()
  },
  'temporal keys flushed': async ({ temporalKeys }) => void (await temporalKeys.client.flushall()),
  'Redis of the temporal keys killed': async ({ temporalKeys }) => {
    await temporalKeys.kill()
    await sleep(1_000)
    await temporalKeys.restart()
  },
  'PostgreSQL restarted': (fleet) => fleet.restartPostgres('stop'),
  'PostgreSQL killed': (fleet) => fleet.restartPostgres('kill'),
}

export interface FleetReport extends FleetLoadReport {
  rounds: number
  /** Of each fault, until every device had exchanged once more: the longest. */
  settledMs: Record<string, number>
  buckets: number
  /** Temporal keys that were lost and made again under a next generation. */
  madeAgain: number
  events: number
}

/**
 * Faults one after the other while devices exchange. After each, every device gets an exchange done; at the end every bucket had a
 * key, and the log holds the events of every session that a device believes in, and of every row. Throws with what is not so.
 */
export async function runFleet(options: {
  rounds: number
  /** Of performance.now(): no round begins later. */
  deadline: number
  onFault?: (name: string, settledMs: number) => void
}): Promise<FleetReport> {
  const fleet = await startFleet()
  try {
    const firstBucket = Math.floor(Date.now() / BUCKET_MS)
    const load = await startFleetLoad({ urls: fleet.urls, adminToken: await fleet.adminToken(), devices: DEVICES })
    const settledMs: Record<string, number> = {}
    let rounds = 0
    try {
      await untilEachExchanged(load)
      while (rounds < options.rounds && performance.now() < options.deadline) {
        for (const [name, fault] of Object.entries(faults)) {
          await fault(fleet)
          const ms = await untilEachExchanged(load)
          await untilReady(fleet)
          settledMs[name] = Math.max(settledMs[name] ?? 0, ms)
          options.onFault?.(name, ms)
        }
        rounds += 1
      }
    } catch (error) {
      // What a device could not mend says more than that it did not exchange.
      await load.stop()
      throw error
    }
    const report = await load.stop()
    const sql = await fleet.connect()
    try {
      const buckets = await requireBuckets(sql, firstBucket)
      const events = (await requireLog(sql, report.sessionIds)).length
      const madeAgain = await countMadeAgain(sql)
      await fleet.close()
      return { ...report, rounds, settledMs, buckets, madeAgain, events }
    } finally {
      await sql.end().catch(() => {})
    }
  } catch (error) {
    await fleet.close().catch(() => {})
    throw error
  }
}

/** Milliseconds until every device has exchanged, from now on. */
async function untilEachExchanged(load: FleetLoad): Promise<number> {
  const startedAt = performance.now()
  const before = [...load.counts()]
  // The one under way may have been answered before: two of each.
  while (!load.counts().every((count, i) => count >= (before[i] ?? 0) + 2)) {
    if (performance.now() > startedAt + SETTLED_WITHIN_MS) throw new Error('a device did not exchange any more')
    await sleep(20)
  }
  return performance.now() - startedAt
}

/** Both APIs say that all is well again: what was lost was made anew. */
async function untilReady({ operatorUrls }: Fleet): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS
  for (const url of operatorUrls) {
    for (;;) {
      const answer = await fetch(`${url}/ready`).catch(() => undefined)
      const said = await answer?.text().catch(() => undefined)
      if (answer?.status === 200) break
      if (performance.now() > deadline) throw new Error(`an API is not ready again: ${said}`)
      await sleep(100)
    }
  }
}

/** From the first bucket to the next one, each with a certificate. */
async function requireBuckets(sql: Client, first: number): Promise<number> {
  const last = Math.floor(Date.now() / BUCKET_MS) + 1
  const { rows } = await sql.query<{ bucket: string }>('select distinct bucket from bucket_certificate')
  const made = new Set(rows.map(({ bucket }) => Number(bucket)))
  for (let bucket = first; bucket <= last; bucket++)
    if (!made.has(bucket)) throw new Error(`bucket ${bucket} had no key`)
  return last - first + 1
}

async function countMadeAgain(sql: Client): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    'select count(*)::int as count from temporal_key where generation > 0',
  )
  return rows[0]?.count ?? 0
}
