import type { Client } from 'pg'
import { type BenchService, startBenchService } from '../exchange/start-service.ts'
import { type Figure, percentileOf, summarize } from '../figure.ts'
import { fillOutbox, findOrganization, readPublishedSize } from './fill-outbox.ts'
import { measureProofs, measureVerification } from './measure-readers.ts'
import { drainOutbox, measureMergeDelay, measureSequencer, measureWriters } from './measure-sequencer.ts'

const PART = 'audit'
const CLIENTS = 16
/** Of each measurement of the sequencer. */
const SEQUENCED = 20_000
const WRITING_SECONDS = 10
const VERIFIED = 200_000
const PROOFS = 500

export interface AuditOptions {
  /** Of the sequencer and of the writers. */
  rounds: number
  /** Of the log that proofs and the export are of. */
  auditEntries: number
}

/** The log of a service of its own: how fast events come in, how late they are seen, and what proofs and verification cost. */
export async function reportAudit(
  { rounds, auditEntries }: AuditOptions,
  progress: (message: string) => void,
  noteService: (service: BenchService) => Promise<void>,
): Promise<Figure[]> {
  await using started = new AsyncDisposableStack()
  const service = await startBenchService()
  started.defer(() => service.stop())
  await noteService(service)
  const clients: Client[] = []
  started.defer(async () => {
    for (const client of clients) await client.end()
  })
  for (let i = 0; i <= CLIENTS; i++) clients.push(await service.connectDatabase())
  const [watcher, ...writers] = clients as [Client, ...Client[]]
  const organizationId = await findOrganization(watcher)

  const sequenced: number[] = []
  const written: number[] = []
  for (let round = 0; round < rounds; round++) {
    progress(`audit: round ${round + 1} of ${rounds}`)
    sequenced.push(await measureSequencer(watcher, organizationId, SEQUENCED))
    written.push(await measureWriters(writers, organizationId, WRITING_SECONDS, undefined))
    await drainOutbox(watcher)
  }
  progress('audit: merge delay at half of the peak')
  const perSecond = Math.min(...sequenced) / 2
  const delay = await measureMergeDelay(writers, watcher, { organizationId, seconds: WRITING_SECONDS * 2, perSecond })
  await drainOutbox(watcher)
  await grow(watcher, organizationId, auditEntries, progress)
  progress('audit: proofs')
  const proofs = await measureProofs(service, watcher, PROOFS)
  progress('audit: export and verification')
  const readers = await measureVerification(service, Math.min(VERIFIED, auditEntries))
  const of = (name: string, unit: Figure['unit'], rest: Partial<Figure> = {}) => ({ part: PART, name, unit, ...rest })
  const more = { better: 'higher' as const }
  return [
    summarize(of('events sequenced, signed and published', '/s', { ...more, target: 3000 }), sequenced),
    summarize(of('transactions with an event, 16 writers beside the sequencer', '/s', more), written),
    summarize(of('merge delay at half of the peak, p99', 'ms', { target: 1000 }), [delay.p99Ms]),
    summarize(of('merge delay at half of the peak, p50', 'ms'), [delay.p50Ms]),
    summarize(of('rate of that measurement', '/s', more), [delay.perSecond]),
    summarize(of(`proof of an event, ${auditEntries} entries, p99`, 'ms', { target: 20 }), [
      percentileOf(proofs, 0.99),
    ]),
    summarize(of(`proof of an event, ${auditEntries} entries`, 'ms'), proofs),
    summarize(of('entries exported', '/s', more), [readers.exportedPerSecond]),
    summarize(of('entries verified by qflare audit verify FILE', '/s', { ...more, target: 20_000 }), [
      readers.verifiedPerSecond,
    ]),
  ]
}

/** Through the outbox and the sequencer, as everything else. */
async function grow(
  client: Client,
  organizationId: string,
  size: number,
  progress: (message: string) => void,
): Promise<void> {
  for (let at = await readPublishedSize(client); at < size; at = await readPublishedSize(client)) {
    progress(`audit: the log has ${at} of ${size} entries`)
    await fillOutbox(client, organizationId, Math.min(50_000, size - at))
    await drainOutbox(client)
  }
}
