import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { BenchService } from '../exchange/start-service.ts'
import { startBenchService } from '../exchange/start-service.ts'
import { type Figure, percentileOf, summarize } from '../figure.ts'
import { readCpuMs, startCpuMeter } from '../process-cpu.ts'
import type { ReattestationAnswer, ReattestationOrder } from './reattestation-load.ts'

const DEVICES = 250
const ROUNDS = 5
const WARM_UP = 500
const ATTESTATIONS = 1_000

/** Devices with TPMs that do nothing but attest again for their sessions, against a service of its own. */
export async function reportReattestation(
  progress: (message: string) => void,
  noteService: (service: BenchService) => Promise<void>,
): Promise<Figure[]> {
  await using started = new AsyncDisposableStack()
  const service = await startBenchService()
  started.defer(() => service.stop())
  await noteService(service)
  const load = fork(fileURLToPath(new URL('reattestation-load.ts', import.meta.url)), [], { stdio: 'inherit' })
  started.defer(() => void load.kill())
  const { url, adminToken } = service
  await ask(load, { order: 'enter', url, adminToken, devices: DEVICES })
  await ask(load, { order: 'attest', attestations: WARM_UP })
  const samples = []
  for (let round = 0; round < ROUNDS; round++) {
    progress(`re-attestation, round ${round + 1} of ${ROUNDS}`)
    samples.push(await measureRound(service, load))
  }
  const of = (name: string, unit: Figure['unit'], rest: Partial<Figure> = {}) => {
    return { part: 'reattestation', name, unit, ...rest }
  }
  return [
    summarize(
      of('re-attestations per second, clients’ signing left out', '/s', { better: 'higher', target: 400 }),
      samples.map(({ perSecond }) => perSecond),
    ),
    summarize(
      of('p95 of a re-attestation, clients’ signing left out', 'ms', { target: 100 }),
      samples.map(({ p95Ms }) => p95Ms),
    ),
    summarize(
      of('CPU of API per re-attestation', 'ms'),
      samples.map(({ apiCpuMs }) => apiCpuMs),
    ),
    summarize(
      of('CPU of API and PostgreSQL per re-attestation', 'ms'),
      samples.map(({ cpuMs }) => cpuMs),
    ),
  ]
}

async function measureRound(service: BenchService, load: ChildProcess) {
  const stopMeter = startCpuMeter([service.pid], true)
  const apiBefore = readCpuMs(service.pid)
  const { seconds, latenciesMs } = await ask(load, { order: 'attest', attestations: ATTESTATIONS })
  return {
    cpuMs: stopMeter() / ATTESTATIONS,
    apiCpuMs: (readCpuMs(service.pid) - apiBefore) / ATTESTATIONS,
    perSecond: ATTESTATIONS / seconds,
    p95Ms: percentileOf(latenciesMs, 0.95),
  }
}

async function ask(load: ChildProcess, order: ReattestationOrder): Promise<ReattestationAnswer> {
  const ended = once(load, 'exit').then(() => {
    throw new Error('The devices of the bench ended early.')
  })
  const answered = once(load, 'message')
  load.send(order)
  const [answer] = (await Promise.race([answered, ended])) as [ReattestationAnswer]
  ended.catch(() => {})
  return answer
}
