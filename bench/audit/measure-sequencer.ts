import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { percentileOf } from '../figure.ts'
import { fillOutbox, readPublishedSize } from './fill-outbox.ts'

const WRITERS = 16
const FILL_CHUNK = 20_000
/** What the sequencer is held by while the outbox is filled: it waits for this row. */
const HOLD = 'select from audit_log_state for update'

/** Events a second that the sequencer takes, signs and publishes while nobody else works: `count` of them wait for it. */
export async function measureSequencer(client: Client, organizationId: string, count: number): Promise<number> {
  await client.query('begin')
  await client.query(HOLD)
  for (let filled = 0; filled < count; filled += FILL_CHUNK) {
    await fillOutbox(client, organizationId, Math.min(FILL_CHUNK, count - filled))
  }
  const goal = (await readPublishedSize(client)) + count
  const startedAt = performance.now()
  await client.query('commit')
  await waitForSize(client, goal)
  return count / ((performance.now() - startedAt) / 1000)
}

export async function waitForSize(client: Client, goal: number): Promise<void> {
  while ((await readPublishedSize(client)) < goal) await sleep(20)
}

/** Until nothing waits in the outbox and readers see everything: in one look, because events move between two. */
export async function drainOutbox(client: Client): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ is_drained: boolean }>(
      'select published_size = size and not exists (select from audit_outbox) as is_drained from audit_log_state',
    )
    if (rows[0]?.is_drained === true) return
    await sleep(20)
  }
}

/** Transactions a second of 16 writers, each with one event, beside the sequencer; `perSecond` of them in all, or as many as go. */
export async function measureWriters(
  clients: readonly Client[],
  organizationId: string,
  seconds: number,
  perSecond: number | undefined,
): Promise<number> {
  const endsAt = performance.now() + seconds * 1000
  const counts = await Promise.all(
    clients.slice(0, WRITERS).map(async (client) => {
      let count = 0
      const startedAt = performance.now()
      while (performance.now() < endsAt) {
        await fillOutbox(client, organizationId, 1)
        count += 1
        if (perSecond === undefined) continue
        const waitMs = startedAt + (count * 1000 * WRITERS) / perSecond - performance.now()
        if (waitMs > 0) await sleep(waitMs)
      }
      return count
    }),
  )
  return counts.reduce((sum, count) => sum + count, 0) / seconds
}

/** p99, in milliseconds, of the time from an event to the published checkpoint that covers it, at a rate. */
export async function measureMergeDelay(
  clients: readonly Client[],
  watcher: Client,
  options: { organizationId: string; seconds: number; perSecond: number },
): Promise<{ p50Ms: number; p99Ms: number; perSecond: number }> {
  const from = await readPublishedSize(watcher)
  const seen: { size: number; at: number }[] = []
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      const { rows } = await watcher.query<{ size: string; now: string }>(
        'select published_size as size, extract(epoch from clock_timestamp()) * 1000 as now from audit_log_state',
      )
      seen.push({ size: Number(rows[0]?.size), at: Number(rows[0]?.now) })
      await sleep(5)
    }
  })()
  const perSecond = await measureWriters(clients, options.organizationId, options.seconds, options.perSecond)
  const [first] = clients as [Client]
  const { rows: outbox } = await first.query<{ count: string }>('select count(*) from audit_outbox')
  await waitForSize(first, from + Math.floor(perSecond * options.seconds) - Number(outbox[0]?.count ?? 0))
  await sleep(1_000)
  isOver = true
  await watching
  const { rows } = await watcher.query<{ index: string; at: string }>(
    'select index, extract(epoch from at) * 1000 as at from audit_entry where index >= $1 order by index',
    [from],
  )
  let next = 0
  const delays = rows.flatMap(({ index, at }) => {
    while (next < seen.length && (seen[next]?.size ?? 0) <= Number(index)) next += 1
    const publishedAt = seen[next]?.at
    return publishedAt === undefined ? [] : [publishedAt - Number(at)]
  })
  return { p50Ms: percentileOf(delays, 0.5), p99Ms: percentileOf(delays, 0.99), perSecond }
}
