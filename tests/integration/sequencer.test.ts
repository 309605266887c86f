import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { tryHoldLock } from '../../database/hold-lock.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { createLocalSigner } from '../../runtime/custody/signer.ts'
import type { Logger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { AuditLogError } from '../../workers/sequencer/audit-log-error.ts'
import type { WriterStep } from '../../workers/sequencer/log-writer.ts'
import { type Sequencer, startSequencer } from '../../workers/sequencer/sequencer.ts'
import { createCheckpointSigner } from '../../workers/sequencer/sign-checkpoint.ts'
import { addEvents, deviceEvent, readEntries } from '../support/audit.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { openTestLog } from '../support/log-writer.ts'
import { crypto } from '../support/service.ts'

/** Sequencers as processes run them, several of them on one database, with a clock that stands still until a test moves it. */

const origin = 'test.example/audit'
const signers = {
  auditSigner: createLocalSigner(crypto, 'ML-DSA-44', crypto.randomBytes(32)),
  auditSigner87: undefined,
}
const signer = createCheckpointSigner(crypto, origin, signers)
const writeEvent = createEventWriter(crypto)
const LOCK = 'sequencer_test_lock'
const WITHIN = { timeout: 20_000, interval: 50 }

let database: TestDatabase
let checkpointFile: string
let time: number
const clock = { now: () => time, offsetMs: () => 0, measuredAt: () => time, measure: async () => {} }

beforeEach(async () => {
  time = Date.UTC(2031, 4, 6, 12)
  const created = await createTestDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'qflare-sequencer-'))
  checkpointFile = join(folder, 'audit-checkpoint')
  database = created
  onTestFinished(async () => {
    await created.drop()
    await rm(folder, { recursive: true, force: true })
  })
})

interface Running {
  sequencer: Sequencer
  lines: string[]
  fatal: AuditLogError[]
  metrics: ReturnType<typeof createMetrics>
}

async function start(options: { onStep?: (step: WriterStep) => Promise<void> } = {}): Promise<Running> {
  const lines: string[] = []
  const fatal: AuditLogError[] = []
  const keep = (message: string) => void lines.push(message)
  const logger: Logger = { debug: keep, info: keep, warn: keep, error: keep }
  const metrics = createMetrics()
  const sequencer = await startSequencer(
    {
      database: database.open('qflare_sequencer', 2),
      crypto,
      clock,
      writeEvent,
      signer,
      origin,
      checkpointFile,
      logger,
      metrics,
      lock: () => tryHoldLock(database.login, { key: 7, applicationName: LOCK }, () => keep('the lock broke')),
      onFatal: (error) => fatal.push(error),
      onStep: options.onStep,
    },
    false,
  )
  onTestFinished(() => sequencer.close())
  return { sequencer, lines, fatal, metrics }
}

async function tell(count: number): Promise<string[]> {
  const events = Array.from({ length: count }, () => ({ draft: deviceEvent(NIL_UUID), at: time }))
  return (await addEvents({ database }, events)).map(({ eventId }) => eventId)
}

async function logged(): Promise<string[]> {
  return (await readEntries({ database })).map(({ event }) => event.id)
}

interface State {
  size: number
  published: number
  epoch: number
  checkpoints: number
}

async function state(): Promise<State> {
  const { rows } = await database.sql.query<State>(
    `select size::int, published_size::int as published, epoch::int,
      (select count(*)::int from audit_checkpoint) as checkpoints from audit_log_state`,
  )
  return rows[0] as State
}

const waitForSize = (size: number) =>
  vi.waitFor(async () => expect(await state()).toMatchObject({ size, published: size }), WITHIN)

/** Ends the connection that holds the lock, once one does. */
async function breakLock(): Promise<void> {
  await vi.waitFor(async () => {
    const { rows } = await database.sql.query(
      `select pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a using (pid)
        where l.locktype = 'advisory' and l.granted and a.datname = current_database() and a.application_name = $1`,
      [LOCK],
    )
    expect(rows).toHaveLength(1)
  }, WITHIN)
}

test('events are logged in the order in which they came, signed and published, and counted with their delay', async () => {
  const { metrics } = await start()
  const told = await tell(5)
  await waitForSize(5)
  expect(await logged()).toEqual(told)
  const note = await readFile(checkpointFile, 'utf8')
  expect(verifyCheckpoint(crypto, note, { log: signer.keys })).toMatchObject({ size: 5, signedAt: time })
  const { values } = await metrics.auditMergeDelaySeconds.get()
  expect(values.find(({ metricName }) => metricName?.endsWith('_count'))?.value).toBe(5)
})

test('an idle log signs a fresh checkpoint of the same tree every 60 seconds, and none before', async () => {
  await start()
  await tell(1)
  await waitForSize(1)
  const before = (await state()).checkpoints
  time += 59_999
  await sleep(1_000)
  expect((await state()).checkpoints).toBe(before)
  for (const more of [1, 2]) {
    time += more === 1 ? 1 : 60_000
    await vi.waitFor(async () => {
      const { rows } = await database.sql.query(
        `select c.size::int, c.signed_at from audit_checkpoint c join audit_log_state on c.id = published_id`,
      )
      expect(rows).toEqual([{ size: 1, signed_at: new Date(time) }])
    }, WITHIN)
    expect((await state()).checkpoints).toBe(before + more)
  }
  await sleep(600)
  expect((await state()).checkpoints).toBe(before + 2)
})

test('while the clock goes back nothing is signed for an earlier time, and events are logged all the same', async () => {
  await start()
  const begin = time
  time -= 3_600_000
  await tell(1)
  await waitForSize(1)
  time += 3_600_000 + 60_000
  await tell(1)
  await waitForSize(2)
  const { rows } = await database.sql.query('select signed_at from audit_checkpoint order by id')
  expect(rows.map(({ signed_at }) => signed_at.getTime())).toEqual([begin, begin, time])
})

test('one that is closed takes what lies in the outbox with it first', async () => {
  const { sequencer } = await start()
  const told = await tell(700)
  await sequencer.close()
  expect(await state()).toMatchObject({ size: 700, published: 700 })
  expect(await logged()).toEqual(told)
})

test('of two, one works and the other waits; when the one is closed, the other goes on', async () => {
  const first = await start()
  const second = await start()
  expect([first.sequencer.isSequencer(), second.sequencer.isSequencer()]).toEqual([true, false])
  expect(second.sequencer.isHealthy()).toBe(true)
  await tell(3)
  await waitForSize(3)
  expect((await state()).epoch).toBe(1)
  expect(second.lines).toEqual([])

  await first.sequencer.close()
  await tell(3)
  await waitForSize(6)
  expect((await state()).epoch).toBe(2)
  expect(second.sequencer.isSequencer()).toBe(true)
  expect(second.lines).toEqual(['this process is the sequencer of the audit log'])
})

test('one whose lock breaks in the middle of a batch is fenced: the other takes over, and the batch is logged once', async () => {
  const gate = Promise.withResolvers<void>()
  let isHeld = false
  const first = await start({
    async onStep(step) {
      if (step !== 'taken') return
      isHeld = true
      await gate.promise
    },
  })
  const second = await start()
  const told = await tell(10)
  await vi.waitFor(() => expect(isHeld).toBe(true), WITHIN)
  await breakLock()
  await waitForSize(10)
  expect(second.sequencer.isSequencer()).toBe(true)

  gate.resolve()
  await vi.waitFor(() => expect(first.lines).toContain('the sequencer failed and opens the log again'), WITHIN)
  await vi.waitFor(() => expect(first.sequencer.isHealthy()).toBe(true), WITHIN)
  expect(first.lines).toContain('the lock broke')
  expect([first.sequencer.isSequencer(), second.sequencer.isSequencer()]).toEqual([false, true])
  const more = await tell(10)
  await waitForSize(20)
  expect(await logged()).toEqual([...told, ...more])
  expect(second.lines).toEqual(['this process is the sequencer of the audit log'])
  expect([...first.fatal, ...second.fatal]).toEqual([])
})

test('however often locks break, each event is logged once and by one at a time', async () => {
  const running = [await start(), await start()]
  const told: string[] = []
  for (let round = 0; round < 4; round++) {
    told.push(...(await tell(50)))
    await breakLock()
    told.push(...(await tell(50)))
    await waitForSize(told.length)
  }
  await vi.waitFor(async () => expect((await state()).epoch).toBe(5), WITHIN)
  await vi.waitFor(() => expect(running.filter(({ sequencer }) => sequencer.isSequencer())).toHaveLength(1), WITHIN)
  expect((await logged()).toSorted()).toEqual(told.toSorted())
})

test('one whose place somebody else takes without the lock notices, and opens the log again', async () => {
  const { sequencer, lines } = await start()
  await tell(2)
  await waitForSize(2)
  const parts = { signers, crypto, clock, writeEvent, trustDomain: 'test.example', checkpointFile }
  await openTestLog({ ...parts, database: database.open('qflare_sequencer') })
  await tell(2)
  await waitForSize(4)
  expect(lines).toContain('the sequencer failed and opens the log again')
  expect(sequencer.isSequencer()).toBe(true)
  expect((await state()).epoch).toBe(3)
})

test('an outage of its connections ends with the outage', async () => {
  const { sequencer } = await start()
  await tell(2)
  await waitForSize(2)
  await database.sql.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
  )
  const told = await tell(2)
  await waitForSize(4)
  expect((await logged()).slice(2)).toEqual(told)
  expect(sequencer.isHealthy()).toBe(true)
})

test('a log that is another one when it is opened again is fatal: nothing more is signed', async () => {
  const { sequencer, fatal } = await start()
  await tell(300)
  await waitForSize(300)
  const { sql } = database
  await sql.query('set session_replication_role = replica')
  await sql.query('delete from audit_entry where index >= 256')
  await sql.query('delete from audit_event_id where index >= 256')
  await sql.query('delete from audit_tile where level = 0 and first_index >= 256')
  await sql.query('update audit_log_state set published_size = 256, size = 256')
  await breakLock()
  await vi.waitFor(() => expect(fatal).toMatchObject([{ code: 'log_rollback' }]), WITHIN)
  expect([sequencer.isHealthy(), sequencer.isSequencer()]).toEqual([false, false])
  const before = await state()
  await tell(1)
  await sleep(1_000)
  expect(await state()).toEqual(before)
})

test('one that cannot reach the database does not start', async () => {
  const lock = () => tryHoldLock({ ...database.login, port: 1 }, { key: 7, applicationName: LOCK }, () => {})
  const logger: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  const parts = {
    database: database.open('qflare_sequencer'),
    crypto,
    clock,
    writeEvent,
    signer,
    origin,
    checkpointFile,
  }
  const starting = startSequencer({ ...parts, logger, metrics: createMetrics(), lock, onFatal: () => {} }, false)
  await expect(starting).rejects.toThrow()
})
