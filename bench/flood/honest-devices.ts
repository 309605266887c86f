import { setTimeout as sleep } from 'node:timers/promises'
import type { QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator } from '../../client/operator.ts'
import { wait } from '../../client/wait.ts'
import type { BenchService } from '../exchange/start-service.ts'

/** A device of the client library, with its own retries. */
export interface Honest {
  deviceId: string
  device: QflareDevice
  /** Requests that the library sent again by itself. */
  retries: number
}

export interface HonestReport {
  attempts: number
  /** Of each device, exchanges that were confirmed. */
  succeeded: number[]
  latenciesMs: number[]
  /** Attempts that failed, by their code. */
  failures: Record<string, number>
  retries: number
}

const PAUSE_MS = 200
/** Of one try: a third of what the library waits by default. */
const TIMEOUT_MS = 5_000

export async function enrollHonest({ url, adminToken }: BenchService, count: number): Promise<Honest[]> {
  const operator = openOperator({ url, apiToken: adminToken })
  const honest: Honest[] = []
  for (let i = 0; i < count; i++) {
    const { token } = await operator.createEnrollmentToken({ kind: 'device' })
    const store = createMemoryStore()
    const own = { retries: 0 }
    const countAndWait: typeof wait = (ms, signal) => {
      own.retries++
      return wait(ms, signal)
    }
    const options = { url, token, store, name: `honest ${i}`, timeoutMs: TIMEOUT_MS, wait: countAndWait }
    const device = await enrollDevice(options)
    const state = await store.load()
    if (state === undefined) throw new Error('The device was not kept.')
    honest.push(Object.assign(own, { deviceId: state.deviceId, device }))
  }
  return honest
}

/** All exchange and confirm, one time after the other with a pause, and none begins after `ms`. */
export async function exchangeFor(honest: readonly Honest[], ms: number): Promise<HonestReport> {
  const report: HonestReport = {
    attempts: 0,
    succeeded: honest.map(() => 0),
    latenciesMs: [],
    failures: {},
    retries: 0,
  }
  for (const device of honest) device.retries = 0
  const end = performance.now() + ms
  await Promise.all(
    honest.map(async ({ device }, index) => {
      while (performance.now() < end) {
        report.attempts++
        const startedAt = performance.now()
        try {
          await device.exchange()
          report.latenciesMs.push(performance.now() - startedAt)
          report.succeeded[index] = (report.succeeded[index] ?? 0) + 1
        } catch (error) {
          const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
          report.failures[code] = (report.failures[code] ?? 0) + 1
        }
        await sleep(PAUSE_MS)
      }
    }),
  )
  report.retries = honest.reduce((sum, { retries }) => sum + retries, 0)
  return report
}
