import { type Figure, summarize } from '../figure.ts'
import { measureHandshake } from '../handshake/measure-handshake.ts'
import { DEVICES, type ExchangeResult, startExchangeLoad } from './measure-exchange.ts'
import { type BenchService, startBenchService } from './start-service.ts'

interface Round extends ExchangeResult {
  handshakeBothCpuMs: number
  handshakeServerCpuMs: number
}

const PART = 'exchange'
/** An exchange of QFLARE costs no more than the handshake that it stands beside. */
const TARGET_RATIO = 1

/** Exchanges and bare TLS 1.3 handshakes of the same strength, turn by turn, so that both meet the same machine. */
export async function reportExchange(
  options: { rounds: number; exchanges: number; handshakes: number },
  progress: (message: string) => void,
  noteService: (service: BenchService) => Promise<void>,
): Promise<Figure[]> {
  const service = await startBenchService()
  try {
    await noteService(service)
    const load = await startExchangeLoad(service)
    const rounds: Round[] = []
    for (let round = 1; round <= options.rounds; round++) {
      progress(`exchange: round ${round} of ${options.rounds}`)
      const exchange = await load.measure(options.exchanges)
      const handshake = await measureHandshake({ handshakes: options.handshakes, concurrency: DEVICES })
      rounds.push({
        ...exchange,
        handshakeBothCpuMs: handshake.bothCpuMs,
        handshakeServerCpuMs: handshake.serverCpuMs,
      })
    }
    load.stop()
    return toFigures(rounds)
  } finally {
    await service.stop()
  }
}

function toFigures(rounds: readonly Round[]): Figure[] {
  const of = (name: string, unit: Figure['unit'], value: (round: Round) => number, rest: Partial<Figure> = {}) =>
    summarize({ part: PART, name, unit, ...rest }, rounds.map(value))
  return [
    of('exchanges', '/s', (round) => round.exchangesPerSecond, { better: 'higher' }),
    of('p50', 'ms', (round) => round.p50Ms),
    of('p99', 'ms', (round) => round.p99Ms),
    of('CPU, API', 'ms', (round) => round.apiCpuMs),
    of('CPU, PostgreSQL', 'ms', (round) => round.postgresCpuMs),
    of('CPU, API and PostgreSQL', 'ms', (round) => round.cpuMs),
    of('CPU, bare handshake, both ends', 'ms', (round) => round.handshakeBothCpuMs),
    of('CPU, bare handshake, server', 'ms', (round) => round.handshakeServerCpuMs),
    of('exchange to both ends of a handshake', 'ratio', (round) => round.cpuMs / round.handshakeBothCpuMs, {
      target: TARGET_RATIO,
    }),
    of('exchange to the server of a handshake', 'ratio', (round) => round.cpuMs / round.handshakeServerCpuMs),
  ]
}
