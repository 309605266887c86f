import { type BenchService, startBenchService } from '../exchange/start-service.ts'
import { type Figure, percentileOf, summarize } from '../figure.ts'
import { readCpuMs } from '../process-cpu.ts'
import { enrollHonest, exchangeFor, type HonestReport } from './honest-devices.ts'
import { startFlood } from './start-flood.ts'

const PART = 'flood'
const DEVICES = 8
const ROUNDS = 3
const WINDOW_MS = 5_000
const OFFERED_PER_SECOND = 5_000
/** More than the queue has places: what is refused is sent behind what waits on the same connection. */
const CONNECTIONS = 1_200
/** Of exchanges that devices begin under the flood, with the retries of the client library. */
const TARGET_SUCCESS = 0.9

interface Round {
  without: HonestReport
  under: HonestReport
  sentPerSecond: number
  answeredPerSecond: number
  answered: number
  /** Of the API, whatever it worked on. */
  cpuMs: number
}

/** Devices of the client library beside forged exchanges of devices that nobody knows, from everywhere; turn by turn without. */
export async function reportFlood(
  progress: (message: string) => void,
  noteService: (service: BenchService) => Promise<void>,
): Promise<Figure[]> {
  await using started = new AsyncDisposableStack()
  const service = await startBenchService([], { QFLARE_TRUST_PROXY: '127.0.0.1' })
  started.defer(() => service.stop())
  await noteService(service)
  const honest = await enrollHonest(service, DEVICES)
  const rounds: Round[] = []
  for (let round = 1; round <= ROUNDS; round++) {
    progress(`flood: round ${round} of ${ROUNDS}`)
    const without = await exchangeFor(honest, WINDOW_MS)
    const order = { perSecond: OFFERED_PER_SECOND, connections: CONNECTIONS, deviceIds: [], addresses: 65_536 }
    const flood = await startFlood(service.url, order)
    const cpuBefore = readCpuMs(service.pid)
    const under = await exchangeFor(honest, WINDOW_MS)
    const cpuMs = readCpuMs(service.pid) - cpuBefore
    const { seconds, sent, answers } = await flood.stop()
    const count = (isCounted: (status: string) => boolean) =>
      Object.entries(answers).reduce((sum, [status, times]) => sum + (isCounted(status) ? times : 0), 0)
    const answered = count((status) => status !== 'none')
    rounds.push({
      without,
      under,
      sentPerSecond: sent / seconds,
      answeredPerSecond: answered / seconds,
      cpuMs,
      answered,
    })
  }
  const of = (name: string, unit: Figure['unit'], value: (round: Round) => number, rest = {}) =>
    summarize({ part: PART, name, unit, ...rest }, rounds.map(value))
  const higher = { better: 'higher' } as const
  return [
    of('forged exchanges sent', '/s', ({ sentPerSecond }) => sentPerSecond, higher),
    of('forged exchanges answered', '/s', ({ answeredPerSecond }) => answeredPerSecond, higher),
    of('CPU of API per forged exchange, with what devices do', 'ms', ({ cpuMs, answered }) => cpuMs / answered),
    of('honest success, without', 'ratio', ({ without }) => successOf(without), higher),
    of('honest success, under the flood', 'ratio', ({ under }) => successOf(under), {
      ...higher,
      target: TARGET_SUCCESS,
    }),
    of('p95 of an exchange of the client library, without', 'ms', ({ without }) => p95Of(without)),
    of('p95 of an exchange of the client library, under the flood', 'ms', ({ under }) => p95Of(under)),
    of('p95 under the flood to p95 without', 'ratio', ({ without, under }) => p95Of(under) / p95Of(without)),
  ]
}

function successOf({ attempts, latenciesMs }: HonestReport): number {
  return latenciesMs.length / attempts
}

function p95Of({ latenciesMs }: HonestReport): number {
  return percentileOf(latenciesMs, 0.95)
}
