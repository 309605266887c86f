import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { readCpuMs, startCpuMeter } from '../process-cpu.ts'
import type { LoadAnswer, LoadOrder } from './load.ts'
import type { BenchService } from './start-service.ts'

export interface ExchangeResult {
  exchangesPerSecond: number
  p50Ms: number
  p99Ms: number
  /** Per exchange: the API process, PostgreSQL, both. */
  apiCpuMs: number
  postgresCpuMs: number
  cpuMs: number
}

const WARM_UP = 1_000

export interface ExchangeLoad {
  measure(exchanges: number): Promise<ExchangeResult>
  stop(): void
}

/** Devices against a running service, warmed up. */
export async function startExchangeLoad(service: BenchService, devices: number): Promise<ExchangeLoad> {
  const load = fork(fileURLToPath(new URL('load.ts', import.meta.url)), [], { stdio: 'inherit' })
  await ask(load, { order: 'enroll', url: service.url, adminToken: service.adminToken, devices })
  await ask(load, { order: 'exchange', exchanges: WARM_UP })
  return {
    async measure(exchanges) {
      const stopMeter = startCpuMeter([service.pid], true)
      const apiBefore = readCpuMs(service.pid)
      const { seconds, latenciesMs } = await ask(load, { order: 'exchange', exchanges })
      const cpuMs = stopMeter() / exchanges
      const apiCpuMs = (readCpuMs(service.pid) - apiBefore) / exchanges
      const sorted = latenciesMs.toSorted((a, b) => a - b)
      return {
        exchangesPerSecond: exchanges / seconds,
        p50Ms: percentile(sorted, 0.5),
        p99Ms: percentile(sorted, 0.99),
        apiCpuMs,
        postgresCpuMs: cpuMs - apiCpuMs,
        cpuMs,
      }
    },
    stop: () => {
      load.kill()
    },
  }
}

async function ask(load: ChildProcess, order: LoadOrder): Promise<LoadAnswer> {
  const ended = once(load, 'exit').then(() => {
    throw new Error('The devices of the bench ended early.')
  })
  ended.catch(() => {})
  load.send(order)
  const [answer] = (await Promise.race([once(load, 'message'), ended])) as [LoadAnswer]
  return answer
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
