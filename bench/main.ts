import { writeFileSync } from 'node:fs'
import { measureAttestation } from './attestation/measure-attestation.ts'
import { reportReattestation } from './attestation/report-reattestation.ts'
import { reportAudit } from './audit/report-audit.ts'
import { measureCrypto } from './crypto/measure-crypto.ts'
import { reportExchange } from './exchange/report-exchange.ts'
import type { BenchService } from './exchange/start-service.ts'
import type { Figure } from './figure.ts'
import { reportFlood } from './flood/report-flood.ts'
import { describeHost } from './host.ts'
import { measureJobs } from './jobs/measure-jobs.ts'
import { measureMemory } from './memory/measure-memory.ts'
import { reportMonitor } from './monitor/report-monitor.ts'
import { type BenchOptions, parseOptions, usage } from './options.ts'
import { toTable, toText } from './print-table.ts'
import { type BenchResult, benchResult, RESULT_VERSION } from './result.ts'
import { reportPruning } from './rotation/report-pruning.ts'
import { reportRotation } from './rotation/report-rotation.ts'
import { reportRounds } from './rounds/report-rounds.ts'
import { reportScale } from './scale/report-scale.ts'

async function measure(options: BenchOptions): Promise<BenchResult> {
  const wants = (part: BenchOptions['only'][number]) => options.only.includes(part)
  let postgres: string | null = null
  const noteService = async (service: Pick<BenchService, 'connectDatabase'>) => {
    postgres ??= await readPostgresVersion(service)
  }
  const figures: Figure[] = []
  if (wants('crypto')) {
    progress('crypto')
    figures.push(...measureCrypto())
  }
  if (wants('attestation')) {
    progress('attestation')
    figures.push(...measureAttestation())
  }
  if (wants('reattestation')) figures.push(...(await reportReattestation(progress, noteService)))
  if (wants('lookups') || wants('scale'))
    figures.push(...(await reportScale({ ...options, wants }, progress, noteService)))
  if (wants('memory')) figures.push(...(await measureMemory(options.memoryExchanges, progress, noteService)))
  if (wants('exchange')) figures.push(...(await reportExchange(options, progress, noteService)))
  if (wants('audit')) figures.push(...(await reportAudit(options, progress, noteService)))
  if (wants('monitor')) figures.push(...(await reportMonitor(options, progress, noteService)))
  if (wants('rounds')) figures.push(...(await reportRounds(options, progress, noteService)))
  if (wants('jobs')) figures.push(...(await measureJobs(options.jobs, progress)))
  const ofDatabase = { sizes: options.sizes, rounds: options.rounds }
  if (wants('rotation')) figures.push(...(await reportRotation(ofDatabase, progress, noteService)))
  if (wants('pruning')) figures.push(...(await reportPruning(ofDatabase, progress, noteService)))
  if (wants('flood')) figures.push(...(await reportFlood(progress, noteService)))
  const { only, sizes, out: _, ...numbers } = options
  return benchResult.parse({
    version: RESULT_VERSION,
    measuredAt: new Date().toISOString(),
    host: describeHost(postgres),
    options: { ...numbers, only: only.join(','), sizes: sizes.join(',') },
    figures,
  })
}

async function readPostgresVersion(service: Pick<BenchService, 'connectDatabase'>): Promise<string> {
  const client = await service.connectDatabase()
  try {
    const { rows } = await client.query<{ version: string }>(`select current_setting('server_version') as version`)
    return rows[0]?.version ?? 'unknown'
  } finally {
    await client.end()
  }
}

function progress(message: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)} ${message}`)
}

function describe({ host, figures }: BenchResult): string {
  const rows = figures.map((figure) => [
    `${figure.part}: ${figure.name}`,
    toText(figure.median),
    figure.unit,
    toText(figure.min),
    toText(figure.max),
    figure.target === undefined ? '' : toText(figure.target),
  ])
  const machine = `${host.cpuModel}, ${host.cores} cores, ${host.kernel}, Node ${host.node}, OpenSSL ${host.openssl}`
  return `${toTable(['figure', 'median', 'unit', 'min', 'max', 'target'], rows)}\n\n${machine}`
}

const options = parseOptions(process.argv.slice(2))
if (options === undefined) console.log(usage)
else {
  const result = await measure(options)
  console.log(describe(result))
  if (options.out !== undefined) writeFileSync(options.out, `${JSON.stringify(result, null, 2)}\n`)
}
