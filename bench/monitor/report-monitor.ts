import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from 'pg'
import { logOrigin } from '../../protocol/log/checkpoint.ts'
import { createLogger } from '../../runtime/logger.ts'
import { monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { createLogWriter, type LogWriter } from '../../workers/sequencer/log-writer.ts'
import { openLog } from '../../workers/sequencer/open-log.ts'
import { createCheckpointSigner } from '../../workers/sequencer/sign-checkpoint.ts'
import type { BenchService } from '../exchange/start-service.ts'
import { type Figure, summarize } from '../figure.ts'
import { openSchedule, type Schedule } from '../rotation/open-schedule.ts'
import { EVENTS_OF_EXCHANGE, fillExchanges, makeOrganizations } from './fill-exchanges.ts'

const PART = 'monitor'
const ORGANIZATIONS = [1, 10, 1_000]
/** Of each organization count and round, of a device each. */
const EXCHANGES = 5_000
/** Between the exchanges of one device. */
const HALF_HOUR_MS = 1_800_000
/** Of 100,000 devices that attest, by the table of sizes in docs/operations.md: 56 exchanges and 333 attestations, of two each. */
const EVENTS_OF_FLEET = 56 * EVENTS_OF_EXCHANGE + 333 * 2

/**
 * How many entries of the log one worker's security monitor gets through in a second, beside how many the sequencer publishes, at each
 * number of organizations. All of them are of exchanges, of which it counts more than of anything else that devices do all day.
 */
export async function reportMonitor(
  { rounds }: { rounds: number },
  progress: (message: string) => void,
  noteService: (service: Pick<BenchService, 'connectDatabase'>) => Promise<void>,
): Promise<Figure[]> {
  const begin = Date.now()
  await using schedule = await openSchedule(begin)
  await noteService(schedule)
  await using log = await openBenchLog(schedule, begin)
  const parts = {
    database: schedule.openAs('qflare_worker', 10),
    storedLog: { database: schedule.openAs('qflare_sequencer', 1) },
    writeEvent: schedule.parts.writeEvent,
    logger: createLogger('silent'),
    incidentWebhook: undefined,
  }
  const client = await schedule.connectDatabase()
  const figures: Figure[] = []
  try {
    for (const count of ORGANIZATIONS) {
      const organizations = await makeOrganizations(client, count)
      const sequenced: number[] = []
      const monitored: number[] = []
      // The first round meets devices of which nothing is known, and compiles.
      for (let round = 0; round <= rounds; round++) {
        progress(`monitor: ${count} organizations, round ${round} of ${rounds}`)
        const at = begin + round * HALF_HOUR_MS
        await fillExchanges(client, { organizations, fleet: `of ${count}`, count: EXCHANGES, at })
        const bySequencer = await perSecond(() => sequence(log.writer))
        const byMonitor = await perSecond(() => monitorEvents(parts, at))
        if (round === 0) continue
        sequenced.push(bySequencer)
        monitored.push(byMonitor)
      }
      figures.push(...figuresOf(count, sequenced, monitored))
    }
    await expectAllRead(client)
  } finally {
    await client.end()
  }
  return figures
}

function figuresOf(count: number, sequenced: readonly number[], monitored: readonly number[]): Figure[] {
  const of = (name: string, unit: Figure['unit']) =>
    ({ part: PART, name: `${name}, ${count} organizations`, unit, better: 'higher' }) as const
  const ratios = (rates: readonly number[], by: (round: number) => number) => rates.map((rate, i) => rate / by(i))
  return [
    summarize(of('entries monitored', '/s'), monitored),
    summarize(of('entries sequenced', '/s'), sequenced),
    summarize(
      of('monitored to sequenced', 'ratio'),
      ratios(monitored, (i) => sequenced[i] as number),
    ),
    summarize(
      { ...of('monitored to what 100000 devices do', 'ratio'), target: 1 },
      ratios(monitored, () => EVENTS_OF_FLEET),
    ),
  ]
}

async function perSecond(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return (EXCHANGES * EVENTS_OF_EXCHANGE) / ((performance.now() - startedAt) / 1_000)
}

async function sequence(writer: LogWriter): Promise<void> {
  for (;;) if ((await writer.append()).entries.length === 0) break
  await writer.publish()
}

/** A figure of what was left out would read as a good one. */
async function expectAllRead(client: Client): Promise<void> {
  const { rows } = await client.query<{ lag: string; rates: string }>(
    `select published_size - next_index as lag, (select count(*) from exchange_rate) as rates from audit_log_state, monitor_state`,
  )
  const { lag, rates } = rows[0] ?? {}
  if (Number(lag) !== 0 || Number(rates) !== ORGANIZATIONS.length * EXCHANGES) {
    throw new Error(`The monitor left ${lag} entries, and knows ${rates} devices.`)
  }
}

async function openBenchLog(schedule: Schedule, begin: number): Promise<{ writer: LogWriter } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-bench-log-'))
  const { crypto, writeEvent } = schedule.parts
  const database = schedule.openAs('qflare_sequencer', 1)
  const clock = { now: Date.now, offsetMs: () => 0, measuredAt: Date.now, measure: async () => {} }
  const origin = logOrigin('bench.example')
  const signer = createCheckpointSigner(crypto, origin, schedule.serviceKeys)
  const checkpointFile = join(folder, 'audit-checkpoint')
  const parts = { database, crypto, clock, writeEvent, signer, origin, checkpointFile, keys: signer.keys }
  const writer = createLogWriter(parts, await openLog({ ...parts, acceptLostCheckpoint: false }, begin))
  return { writer, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}
