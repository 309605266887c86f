import { watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { logOrigin } from '../../protocol/log/checkpoint.ts'
import { type VerifierKey, verifierKey } from '../../protocol/log/verifier-key.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { compareNames, compareTables } from './compare-tables.ts'
import { findMoment, listDrafts, type Moment } from './killed-at.ts'
import { createLedger, type Ledger, type LedgerCounts } from './ledger.ts'
import { createLoad, type Load } from './load.ts'
import { createLogChecker, type LogChecker, type LoggedEvent } from './log-checker.ts'
import { checkpointFileOf, createTarget, type Target, type TargetName } from './targets.ts'

const crypto = createNativePrimitives()
const CLIENTS = 6
const DRAINED_WITHIN_MS = 60_000
/** How often every table is compared with every event; the events of each round are compared with its requests in any case. */
const COMPARE_EVERY = 10

export interface RoundsReport extends LedgerCounts {
  rounds: number
  seconds: number
  /** In the log at the end. */
  events: number
  /** Stored in the database, and different ones that were seen over HTTP and in the file: all of them of the one tree. */
  checkpoints: number
  seenCheckpoints: number
  /** Where the kills met the sequencer; empty where its database went with it. */
  moments: Partial<Record<Moment, number>>
  /** Answers of each status to requests that change something; 0 where none came. */
  statuses: Record<number, number>
  /** Files that kills left half written beside the checkpoint. */
  drafts: number
}

/**
 * Rounds of: a few clients change what they can, all at once; a kill -9 in the middle of it; a start. Then, with the outbox empty,
 * the log has to have the events of every acknowledged change once and none that is nobody's, and every checkpoint that anybody
 * saw has to be of its one tree. Throws with what is not so. Ends after `rounds` or at `deadline` (of performance.now), whatever
 * is first.
 */
export async function runRounds(options: {
  target: TargetName
  rounds: number
  deadline: number
  onRound?: (report: RoundsReport, moment: Moment | undefined) => void
}): Promise<RoundsReport> {
  const startedAt = performance.now()
  const target = await createTarget(options.target)
  try {
    const run = await begin(target)
    const report = () => ({ ...run.report, ...run.ledger.counts(), seconds: (performance.now() - startedAt) / 1000 })
    while (run.report.rounds < options.rounds && performance.now() < options.deadline) {
      const moment = await playRound(run, options.target)
      options.onRound?.(report(), moment)
    }
    await checkAtTheEnd(run)
    await target.close()
    return report()
  } catch (error) {
    // What went wrong first is what is to be told.
    await target.close().catch(() => {})
    throw error
  }
}

interface Run {
  target: Target
  url: string
  keys: VerifierKey[]
  ledger: Ledger
  load: Load
  checker: LogChecker
  events: LoggedEvent[]
  seen: Set<string>
  report: Omit<RoundsReport, keyof LedgerCounts | 'seconds'>
}

async function begin(target: Target): Promise<Run> {
  const url = await target.start()
  const ledger = createLedger()
  const statuses: Record<number, number> = {}
  const load = await createLoad(ledger, {
    url,
    adminToken: await target.adminToken(),
    clients: CLIENTS,
    onAnswer: (status) => (statuses[status] = (statuses[status] ?? 0) + 1),
  })
  return withDatabase(target, async (sql) => {
    const keys = await readKeys(sql)
    const checker = createLogChecker(crypto, keys)
    await untilDrained(sql)
    const events = await checker.readOn(sql)
    ledger.ignore(events)
    const counts = { rounds: 0, events: 0, checkpoints: 0, seenCheckpoints: 0, drafts: 0 }
    const report = { ...counts, moments: {}, statuses }
    return { target, url, keys, ledger, load, checker, events, seen: new Set(), report }
  })
}

async function playRound(run: Run, name: TargetName): Promise<Moment | undefined> {
  const { target, load, report } = run
  const stop = new AbortController()
  const notes = new Set<string>()
  const atWork = Promise.all([load.run(run.url, stop.signal), pollCheckpoint(run.url, notes, stop.signal)])
  try {
    await untilMoment(checkpointFileOf(target), () => countAnswers(report.statuses))
    await target.kill()
  } finally {
    stop.abort()
    await atWork
  }
  notes.add(await readFile(checkpointFileOf(target), 'utf8'))
  const moment =
    name === 'api' ? await withDatabase(target, (sql) => findMoment(sql, checkpointFileOf(target))) : undefined
  run.url = await target.start()
  await withDatabase(target, (sql) => checkRound(run, sql, notes))
  report.rounds += 1
  if (moment !== undefined) report.moments = { ...report.moments, [moment]: (report.moments[moment] ?? 0) + 1 }
  return moment
}

async function checkRound(run: Run, sql: Client, notes: Set<string>): Promise<void> {
  const { checker, report, seen } = run
  await untilDrained(sql)
  const events = await checker.readOn(sql)
  run.ledger.settle(events)
  run.events.push(...events)
  for (const note of notes) {
    if (!seen.has(note)) checker.requireNote(note, 'a checkpoint that was seen')
    seen.add(note)
  }
  report.events = checker.size()
  report.seenCheckpoints = seen.size
  if ((report.rounds + 1) % COMPARE_EVERY === 0) await compareTables(sql, run.events)
}

/** Everything once more, from its beginning: nobody changed what was read before. */
async function checkAtTheEnd({ target, keys, load, checker, report, seen }: Run): Promise<void> {
  const file = checkpointFileOf(target)
  report.drafts = (await listDrafts(file)).length
  seen.add(await readFile(file, 'utf8'))
  await withDatabase(target, async (sql) => {
    const again = createLogChecker(crypto, keys)
    const events = await again.readOn(sql)
    if (again.size() < checker.size()) throw new Error(`the log had ${checker.size()} entries, and has ${again.size()}`)
    for (const note of seen) again.requireNote(note, 'a checkpoint that was seen')
    await compareTables(sql, events)
    await compareNames(sql, events, load.devices)
    const { rows } = await sql.query<{ count: number }>('select count(*)::int as count from audit_checkpoint')
    report.checkpoints = rows[0]?.count ?? 0
  })
}

/**
 * Under load: not before some changes were answered. Half of the kills come at any time after that, the others when the checkpoint
 * file, or its draft, has just come into being.
 */
async function untilMoment(checkpointFile: string, countDone: () => number): Promise<void> {
  const enough = countDone() + 10 + Math.floor(Math.random() * 30)
  for (const end = performance.now() + 2_500; countDone() < enough && performance.now() < end; ) await sleep(5)
  if (Math.random() < 0.5) return sleep(Math.random() * 300)
  const watcher = watch(dirname(checkpointFile))
  try {
    const changed = Promise.withResolvers<void>()
    const skipped = Math.floor(Math.random() * 4)
    let changes = 0
    watcher.on('change', (_, name) => {
      if (String(name).startsWith(basename(checkpointFile)) && changes++ >= skipped) changed.resolve()
    })
    await Promise.race([changed.promise, sleep(1_500)])
  } finally {
    watcher.close()
  }
}

function countAnswers(statuses: Record<number, number>): number {
  return Object.values(statuses).reduce((sum, count) => sum + count, 0)
}

async function pollCheckpoint(url: string, notes: Set<string>, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const answer = await fetch(`${url}/v1/audit/checkpoint`).catch(() => undefined)
    // An answer that breaks off is none.
    const text = await answer?.text().catch(() => undefined)
    if (answer?.status === 200 && text !== undefined) notes.add(text)
    await sleep(20)
  }
}

async function untilDrained(sql: Client): Promise<void> {
  const deadline = performance.now() + DRAINED_WITHIN_MS
  for (;;) {
    const { rows } = await sql.query<{ size: string; published: string; outbox: string }>(
      `select size, published_size as published, (select count(*) from audit_outbox) as outbox from audit_log_state`,
    )
    const [state] = rows
    if (state?.outbox === '0' && state.published === state.size) return
    if (performance.now() > deadline) throw new Error(`the log does not go on: ${JSON.stringify(state)}`)
    await sleep(20)
  }
}

async function readKeys(sql: Client): Promise<VerifierKey[]> {
  const { rows } = await sql.query<{ public_key: Buffer }>(
    `select public_key from signing_key where key_use = 'audit' and alg = 'ML-DSA-44'`,
  )
  return rows.map((row) => verifierKey(crypto, logOrigin('qflare.local'), 'cosignature', row.public_key))
}

async function withDatabase<T>(target: Target, work: (sql: Client) => Promise<T>): Promise<T> {
  const sql = await target.connect()
  if (sql === undefined) throw new Error('no PostgreSQL runs')
  try {
    return await work(sql)
  } finally {
    await sql.end()
  }
}
