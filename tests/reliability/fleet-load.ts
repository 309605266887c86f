import { setTimeout as sleep } from 'node:timers/promises'
import { openDevice, type QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator } from '../../client/operator.ts'
import { type Wait, wait } from '../../client/wait.ts'

/** What a device may need until its exchange is done, whatever was taken away under it. */
const MENDED_WITHIN_MS = 60_000
const BACKOFF = { firstMs: 50, longestMs: 2_000 }

export interface FleetLoadReport {
  exchanges: number
  /** Requests that the client library sent again by itself. */
  retriesOfLibrary: number
  /** Exchanges that failed all the same and were begun again, and the longest time until one was done. */
  mended: number
  longestMs: number
  /** Attempts that failed, by their code. */
  failures: Record<string, number>
  /** The sessions that devices believe to have had. */
  sessionIds: string[]
}

export interface FleetLoad {
  /** How often each device has exchanged. */
  counts(): readonly number[]
  /** Ends the load, and says how it went. Rejects with what no retry has mended. */
  stop(): Promise<FleetLoadReport>
}

/** Devices that exchange one time after the other, at the next API each time, and try again with backoff. */
export async function startFleetLoad(options: {
  urls: readonly string[]
  adminToken: string
  devices: number
}): Promise<FleetLoad> {
  const { urls, adminToken } = options
  const operator = openOperator({ url: urls[0] as string, apiToken: adminToken })
  const report: FleetLoadReport = {
    exchanges: 0,
    retriesOfLibrary: 0,
    mended: 0,
    longestMs: 0,
    failures: {},
    sessionIds: [],
  }
  const counts: number[] = []
  const over = new AbortController()
  const runs: Promise<void>[] = []
  for (let i = 0; i < options.devices; i++) {
    const { token } = await operator.createEnrollmentToken({ kind: 'device' })
    const store = createMemoryStore()
    await enrollDevice({ url: urls[0] as string, token, store, name: `device ${i}` })
    const waitAndCount: Wait = (ms, signal) => {
      report.retriesOfLibrary += 1
      return wait(ms, signal)
    }
    const nodes = await Promise.all(urls.map((url) => openDevice({ url, store, timeoutMs: 5_000, wait: waitAndCount })))
    counts.push(0)
    runs.push(exchangeUntil(over.signal, nodes, i))
  }
  // Whoever stops the load hears of it.
  for (const run of runs) run.catch(() => over.abort())

  async function exchangeUntil(signal: AbortSignal, nodes: readonly QflareDevice[], device: number): Promise<void> {
    for (let turn = device; !signal.aborted; turn++) {
      const startedAt = performance.now()
      for (let attempt = 0; ; attempt++) {
        try {
          const { session } = await (nodes[(turn + attempt) % nodes.length] as QflareDevice).exchange()
          if (session !== undefined) report.sessionIds.push(session.sessionId)
          break
        } catch (error) {
          noteFailure(error)
          if (performance.now() > startedAt + MENDED_WITHIN_MS) throw error
          if (attempt === 0) report.mended += 1
          const longest = Math.min(BACKOFF.longestMs, BACKOFF.firstMs * 2 ** attempt)
          await sleep(longest * (0.5 + Math.random() / 2))
        }
      }
      report.exchanges += 1
      counts[device] = (counts[device] ?? 0) + 1
      report.longestMs = Math.max(report.longestMs, performance.now() - startedAt)
      await sleep(20)
    }
  }

  function noteFailure(error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    report.failures[code] = (report.failures[code] ?? 0) + 1
  }

  return {
    counts: () => counts,
    async stop() {
      over.abort()
      await Promise.all(runs)
      return report
    },
  }
}
