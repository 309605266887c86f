import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import type { Database } from '../../database/open.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import type { TreeHead } from '../../protocol/log/merkle.ts'
import type { VerifierKey } from '../../protocol/log/verifier-key.ts'
import { newId } from '../../runtime/ids.ts'
import type { WriterStep } from '../../workers/sequencer/log-writer.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { openTestLog, type TestLog } from '../support/log-writer.ts'
import { createLogChecker } from './log-checker.ts'
import { clock, crypto, type LogPlace, signersOf, TRUST_DOMAIN, writeEvent, writerPartsOf } from './log-place.ts'
import { readSigned } from './signed-records.ts'

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
  state(): Promise<LogState>
  /** Until everything that was told is published. Throws when that takes longer than `withinMs`. */
  untilPublished(withinMs: number): Promise<void>
  /** Every tree that was ever signed. */
  signed(): TreeHead[]
  /** The size in the checkpoint file. Throws unless that is whole and signed. */
  sizeInFile(): Promise<number>
  /**
   * Reads everything from the start: the log holds each event that was told exactly once, and no other; its tree, its stored
   * checkpoints, its file and whatever was ever signed are of one tree. Throws with what is not; answers the size.
   */
  check(): Promise<number>
  close(): Promise<void>
}

export interface LogState {
  size: number
  published: number
  /** Of the newest stored checkpoint. */
  checkpoint: number
  outbox: number
}

/** `checkpointFile`: in a folder of its own, where it is not given. */
export async function makeLogUnderTest(
  options: { has87?: boolean; checkpointFile?: string } = {},
): Promise<LogUnderTest> {
  const database = await createTestDatabase()
  const { sql } = database
  const folder = await mkdtemp(join(tmpdir(), 'qflare-reliability-'))
  const place: LogPlace = {
    login: database.login,
    seed: Buffer.from(crypto.randomBytes(32)).toString('hex'),
    has87: options.has87 ?? false,
    checkpointFile: options.checkpointFile ?? join(folder, 'audit-checkpoint'),
    signedFile: join(folder, 'signed'),
  }
  const signers = signersOf(place)
  const { keys } = writerPartsOf(place, database.open('qflare_sequencer', 1)).signer
  const told = new Set<string>()

  return {
    database,
    place,
    told,
    tell: (count) => insertEvents(sql, count, told),
    async tellLate() {
      const client = new Client(database.superuser)
      // It ends with its database where a test fails before it commits.
      client.on('error', () => {})
      await client.connect()
      await client.query('begin')
      await insertEvents(client, 1, told)
      return { commit: () => client.query('commit').then(() => client.end()) }
    },
    open: ({ onStep, database: opened } = {}) =>
      openTestLog({
        database: opened ?? database.open('qflare_sequencer', 2),
        signers,
        crypto,
        clock,
        writeEvent,
        trustDomain: TRUST_DOMAIN,
        checkpointFile: place.checkpointFile,
        ...(onStep && { onStep }),
      }),
    state: () => readState(sql),
    async untilPublished(withinMs) {
      const deadline = performance.now() + withinMs
      for (;;) {
        const state = await readState(sql)
        if (state.outbox === 0 && state.published === told.size) return
        if (performance.now() > deadline) throw new Error(`not published in ${withinMs} ms: ${JSON.stringify(state)}`)
        await sleep(50)
      }
    },
    signed: () => readSigned(place.signedFile),
    async sizeInFile() {
      const note = await readFile(place.checkpointFile, 'utf8')
      return verifyCheckpoint(crypto, note, { log: keys }).size
    },
    check: () => checkLog({ sql, place, keys, told }),
    async close() {
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function checkLog(log: {
  sql: Client
  place: LogPlace
  keys: readonly VerifierKey[]
  told: Set<string>
}): Promise<number> {
  const { place, told } = log
  const checker = createLogChecker(crypto, log.keys)
  const events = await checker.readOn(log.sql)
  // The checker saw that none is there twice.
  const strange = events.filter(({ id }) => !told.has(id)).length
  const missing = told.size - (events.length - strange)
  if (missing + strange > 0) throw new Error(`${missing} events are not in the log; ${strange} are that nobody told`)
  for (const [at, head] of readSigned(place.signedFile).entries()) checker.requireHead(head, `signature ${at}`)
  checker.requireNote(await readFile(place.checkpointFile, 'utf8'), 'the checkpoint file')
  return checker.size()
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
