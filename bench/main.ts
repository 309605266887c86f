import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startExchangeLoad } from './exchange/measure-exchange.ts'
import { startBenchService } from './exchange/start-service.ts'
import { measureHandshake } from './handshake/measure-handshake.ts'
import { describeHost } from './host.ts'

const usage = `npm run bench -- [--rounds N] [--exchanges N] [--handshakes N] [--out FILE]

Measures exchanges against a service of its own, and bare TLS 1.3 handshakes (MLKEM1024, ML-DSA-44 certificates on
both sides) in the same Node, turn by turn, and prints the median of the rounds. CPU milliseconds count; times of day
depend on what else the machine does.`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    exchanges: { type: 'string', default: '1000' },
    handshakes: { type: 'string', default: '500' },
    out: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const DEVICES = 16

async function main(): Promise<void> {
  const [rounds, exchanges, handshakes] = [values.rounds, values.exchanges, values.handshakes].map(Number) as [
    number,
    number,
    number,
  ]
  const service = await startBenchService()
  try {
    const load = await startExchangeLoad(service, DEVICES)
    const results = []
    for (let round = 1; round <= rounds; round++) {
      console.error(`round ${round} of ${rounds}: ${exchanges} exchanges, ${handshakes} handshakes`)
      const exchange = await load.measure(exchanges)
      const handshake = await measureHandshake({ handshakes, concurrency: DEVICES })
      results.push({
        ...exchange,
        handshakeBothCpuMs: handshake.bothCpuMs,
        handshakeServerCpuMs: handshake.serverCpuMs,
      })
    }
    load.stop()
    report(results)
  } finally {
    await service.stop()
  }
}

function report(rounds: readonly Record<string, number>[]): void {
  const names = Object.keys(rounds[0] ?? {})
  const median = Object.fromEntries(names.map((name) => [name, medianOf(rounds.map((round) => round[name] as number))]))
  const ratio = (handshake: string) =>
    medianOf(rounds.map((round) => (round.cpuMs as number) / (round[handshake] as number)))
  const ratioToBothEnds = ratio('handshakeBothCpuMs')
  const ratioToServerEnd = ratio('handshakeServerCpuMs')
  const show = (value: number | undefined, digits = 2) => (value ?? Number.NaN).toFixed(digits)
  console.log(`
exchange (2 requests, ${DEVICES} devices)   ${show(median.exchangesPerSecond, 0)} /s   p50 ${show(median.p50Ms, 1)} ms   p99 ${show(median.p99Ms, 1)} ms
  CPU per exchange                  ${show(median.cpuMs)} ms   (API ${show(median.apiCpuMs)}, PostgreSQL ${show(median.postgresCpuMs)})
bare TLS 1.3 handshake
  CPU of both ends                  ${show(median.handshakeBothCpuMs)} ms
  CPU of the server's end           ${show(median.handshakeServerCpuMs)} ms
ratio, exchange to both ends        ${show(ratioToBothEnds)}
ratio, exchange to the server's end ${show(ratioToServerEnd)}
`)
  const result = { host: describeHost(), devices: DEVICES, rounds, median, ratioToBothEnds, ratioToServerEnd }
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(result, null, 2)}\n`)
  else console.log(JSON.stringify(result))
}

function medianOf(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

if (values.help) console.log(usage)
else await main()
