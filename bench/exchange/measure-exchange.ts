import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { percentileOf } from '../figure.ts'
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

/** Devices that exchange at once. */
export const DEVICES = 16
const WARM_UP = 1_000

export interface ExchangeLoad {
  measure(exchanges: number): Promise<ExchangeResult>
  /** Of the first device: for what a device itself may ask. */
  device(): { deviceId: string; accessToken: string }
  stop(): void
}

/** Devices against a running service, warmed up. */
export async function startExchangeLoad(service: BenchService): Promise<ExchangeLoad> {
  const load = fork(fileURLToPath(new URL('load.ts', import.meta.url)), [], { stdio: 'inherit' })
  const ended = once(load, 'exit').then(() => {
    throw new Error('The devices of the bench ended early.')
  })
  ended.catch(() => {})
  const ask = (order: LoadOrder) => Promise.race([askLoad(load, order), ended])

  await ask({ order: 'enroll', url: service.url, adminToken: service.adminToken, devices: DEVICES })
  let { device } = await ask({ order: 'exchange', exchanges: WARM_UP })
  return {
    async measure(exchanges) {
      const stopMeter = startCpuMeter([service.pid], true)
      const apiBefore = readCpuMs(service.pid)
      const answer = await ask({ order: 'exchange', exchanges })
      const cpuMs = stopMeter() / exchanges
      const apiCpuMs = (readCpuMs(service.pid) - apiBefore) / exchanges
      device = answer.device
      return {
        exchangesPerSecond: exchanges / answer.seconds,
        p50Ms: percentileOf(answer.latenciesMs, 0.5),
        p99Ms: percentileOf(answer.latenciesMs, 0.99),
        apiCpuMs,
        postgresCpuMs: cpuMs - apiCpuMs,
        cpuMs,
      }
    },
    device() {
      if (device === undefined) throw new Error('No device has exchanged yet.')
      return device
    },
    stop: () => {
      load.kill()
    },
  }
}

async function askLoad(load: ChildProcess, order: LoadOrder): Promise<LoadAnswer> {
  const answered = once(load, 'message')
  load.send(order)
  const [answer] = (await answered) as [LoadAnswer]
  return answer
}
