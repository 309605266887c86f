import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, type ClientConfig } from 'pg'
import type { Database } from '../../database/open.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { logOrigin } from '../../protocol/log/checkpoint.ts'
import type { TreeHead } from '../../protocol/log/merkle.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { newId } from '../../runtime/ids.ts'
import type { LogWriterParts, WriterStep } from '../../workers/sequencer/log-writer.ts'
import { createCheckpointSigner } from '../../workers/sequencer/sign-checkpoint.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { openTestLog, type TestLog } from '../support/log-writer.ts'
import { createLogChecker, type LogChecker } from './log-checker.ts'
import { readSigned, recordingSigners } from './signed-records.ts'

export const crypto = createNativePrimitives()
export const writeEvent = createEventWriter(crypto)
export const TRUST_DOMAIN = 'test.example'
export const clock: Clock = { now: Date.now, offsetMs: () => 0, measuredAt: Date.now, measure: async () => {} }

/** What a process of its own needs to write the same log. */
export interface LogPlace {
  login: ClientConfig
  /** 32 bytes in hexadecimal digits. */
  seed: string
  has87: boolean
  checkpointFile: string
  signedFile: string
}

/** An audit log with a database of its own, whose every signature is written down. */
export interface LogUnderTest {
  database: TestDatabase
  place: LogPlace
  /** Event ids that this log has to have. */
  told: Set<string>
  /** Puts events into the outbox. */
  tell(count: number): Promise<void>
  /**
   * An event that is inserted now, before those that follow, and seen by nobody until `commit`, after them: a batch that is taken
   * again is another batch then. What a slow transaction does.
   */
  tellLate(): Promise<{ commit(): Promise<void> }>
  open(options?: { onStep?: (step: WriterStep) => Promise<void>; database?: Database }): Promise<TestLog>
  /** What `startSequencer` and `createLogWriter` take; `database` as qflare_sequencer. */
  writerParts(database: Database): LogWriterParts
  signed(): TreeHead[]
  readFile(): Promise<string | undefined>
  state(): Promise<LogState>
  /**
   * Reads everything from the start: the log holds each event that was told exactly once, and no other; its tree, its stored
   * checkpoints, its file and whatever was ever signed are of one tree.
   */
  check(): Promise<LogChecker>
  close(): Promise<void>
}

export interface LogState {
  size: number
  published: number
  /** Of the newest stored checkpoint. */
  checkpoint: number
  outbox: number
}

export async function makeLogUnderTest(options: { has87?: boolean } = {}): Promise<LogUnderTest> {
  const { has87 = false } = options
  const database = await createTestDatabase()
  const { sql } = database
  const folder = await mkdtemp(join(tmpdir(), 'qflare-reliability-'))
  const seed = Buffer.from(crypto.randomBytes(32))
  const [checkpointFile, signedFile] = [join(folder, 'audit-checkpoint'), join(folder, 'signed')]
  const signers = recordingSigners(crypto, seed, signedFile, { has87 })
  const signer = createCheckpointSigner(crypto, logOrigin(TRUST_DOMAIN), signers)
  const told = new Set<string>()
  const readCheckpoint = () => readFile(checkpointFile, 'utf8').catch(() => undefined)

  return {
    database,
    place: { login: database.login, seed: seed.toString('hex'), has87, checkpointFile, signedFile },
    told,
    tell: (count) => insertEvents(sql, count, told),
    async tellLate() {
      const client = new Client(database.superuser)
      await client.connect()
      await client.query('begin')
      await insertEvents(client, 1, told)
      return {
        async commit() {
          await client.query('commit')
          await client.end()
        },
      }
    },
    open: ({ onStep, database: opened } = {}) =>
      openTestLog({
        database: opened ?? database.open('qflare_sequencer', 2),
        signers,
        crypto,
        clock,
        writeEvent,
        trustDomain: TRUST_DOMAIN,
        checkpointFile,
        ...(onStep && { onStep }),
      }),
    writerParts: (opened) => ({
      database: opened,
      crypto,
      clock,
      writeEvent,
      signer,
      origin: logOrigin(TRUST_DOMAIN),
      checkpointFile,
    }),
    signed: () => readSigned(signedFile),
    readFile: readCheckpoint,
    state: () => readState(sql),
    async check() {
      const checker = createLogChecker(crypto, signer.keys)
      const events = await checker.readOn(sql)
      // The checker saw that none is there twice.
      const strange = events.filter(({ id }) => !told.has(id)).length
      const missing = told.size - (events.length - strange)
      if (missing + strange > 0) throw new Error(`${missing} events are not in the log; ${strange} are that nobody told`)
      for (const [at, head] of readSigned(signedFile).entries()) checker.requireHead(head, `signature ${at}`)
      const note = await readCheckpoint()
      if (note !== undefined) checker.requireNote(note, 'the checkpoint file')
      return checker
    },
    async close() {
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function insertEvents(client: Client, count: number, told: Set<string>): Promise<void> {
  const { eventId: first, entry } = writeEvent(
    {
      organizationId: NIL_UUID,
      actor: { type: 'service', id: NIL_UUID },
      type: 'enrollment_token.revoked',
      subject: { enrollmentTokenId: newId() },
      data: {},
      requestId: newId(),
    },
    Date.now(),
  )
  // A log of many thousands is told in a second: its events differ in their ids.
  const ids = Array.from({ length: count }, newId)
  await client.query(
    'insert into audit_outbox (organization_id, event_id, entry) select $1, * from unnest($2::uuid[], $3::text[])',
    [NIL_UUID, ids, ids.map((id) => entry.replace(first, id))],
  )
  for (const id of ids) told.add(id)
}

async function readState(sql: Client): Promise<LogState> {
  const { rows } = await sql.query<Record<keyof LogState, string>>(
    `select size, published_size as published, (select count(*) from audit_outbox) as outbox,
      coalesce((select size from audit_checkpoint order by id desc limit 1), 0) as checkpoint from audit_log_state`,
  )
  const [row] = rows
  if (row === undefined) throw new Error('the log has no state')
  return {
    size: Number(row.size),
    published: Number(row.published),
    checkpoint: Number(row.checkpoint),
    outbox: Number(row.outbox),
  }
}
