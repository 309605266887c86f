import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { parseCheckpointBody } from '../../protocol/log/checkpoint.ts'
import { parseNote } from '../../protocol/log/signed-note.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { createLocalSigner } from '../../runtime/custody/signer.ts'
import { addEvents, deviceEvent, readEntries } from '../support/audit.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { openTestLog, type TestLog, type TestLogOptions } from '../support/log-writer.ts'
import { crypto } from '../support/service.ts'

/**
 * What a start of the log refuses. Two databases have one history up to a point: `older` has stopped there, `newer` went on,
 * and each has the checkpoint file that it wrote last. Each test works on copies of them.
 */

const signer = (alg: 'ML-DSA-44' | 'ML-DSA-87') => createLocalSigner(crypto, alg, crypto.randomBytes(32))
const signers = { auditSigner: signer('ML-DSA-44'), auditSigner87: signer('ML-DSA-87') }
const writeEvent = createEventWriter(crypto)
const BEGIN = Date.UTC(2031, 4, 6)
let time = BEGIN
const clock = { now: () => time, offsetMs: () => 0, measuredAt: () => time, measure: async () => {} }

let folder: string
let file: string
let older: TestDatabase
let newer: TestDatabase
const notes = { older: '', newer: '' }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qflare-rollback-'))
  file = join(folder, 'audit-checkpoint')
  older = await createTestDatabase()
  await grow(older, await open(older), 300)
  notes.older = await readFile(file, 'utf8')
  await older.disconnect()
  newer = await createTestDatabase(older.name)
  await grow(newer, await open(newer), 300)
  notes.newer = await readFile(file, 'utf8')
  await newer.disconnect()
})
afterAll(async () => {
  for (const database of [older, newer]) await database.drop()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(() => rm(file, { recursive: true, force: true }))

function open(database: TestDatabase, options: Partial<TestLogOptions> = {}): Promise<TestLog> {
  const parts = { signers, crypto, clock, writeEvent, trustDomain: 'test.example', checkpointFile: file }
  return openTestLog({ ...parts, database: database.open('qflare_sequencer'), ...options })
}

async function grow(database: TestDatabase, log: TestLog, count: number): Promise<void> {
  const events = Array.from({ length: count }, () => ({ draft: deviceEvent(NIL_UUID), at: time }))
  await addEvents({ database }, events)
  await log.sequence()
}

async function copyOf(database: TestDatabase): Promise<TestDatabase> {
  const copy = await createTestDatabase(database.name)
  onTestFinished(() => copy.drop())
  return copy
}

async function stateOf({ sql }: TestDatabase): Promise<string> {
  const { rows } = await sql.query(
    `select (select md5(s::text) from audit_log_state s) as state, (select count(*) from audit_checkpoint) as checkpoints,
      (select count(*) from audit_outbox) as events`,
  )
  return JSON.stringify(rows)
}

/** And nothing is changed by it: neither the database, nor the file. */
async function expectRefused(
  database: TestDatabase,
  code: 'log_rollback' | 'checkpoint_lost',
  message: RegExp,
  options: Partial<TestLogOptions> = {},
): Promise<void> {
  const before = { state: await stateOf(database), file: await readFile(file, 'utf8').catch(() => undefined) }
  const opening = open(database, options)
  await expect(opening).rejects.toMatchObject({ name: 'AuditLogError', code })
  await expect(opening).rejects.toThrow(message)
  expect({ state: await stateOf(database), file: await readFile(file, 'utf8').catch(() => undefined) }).toEqual(before)
}

const sizeOf = (note: string) => parseCheckpointBody(parseNote(note).body).size
/** Replaces a part that has to be there. */
function changed(note: string, part: string | RegExp, by: string): string {
  const text = note.replace(part, by)
  expect(text).not.toBe(note)
  return text
}

describe('a log whose file', () => {
  test('is its own goes on, with the next checkpoint of the same history', async () => {
    await writeFile(file, notes.newer)
    const database = await copyOf(newer)
    const log = await open(database)
    expect(log.writer.size()).toBe(600)
    await grow(database, log, 1)
    expect(sizeOf(await readFile(file, 'utf8'))).toBe(601)
  })

  test('is older, as after a crash between the commit and the file, goes on', async () => {
    await writeFile(file, notes.older)
    await open(await copyOf(newer))
    expect(sizeOf(await readFile(file, 'utf8'))).toBe(600)
  })

  test('is newer, as after an older database was restored, is refused and told what to do', async () => {
    await writeFile(file, notes.newer)
    const database = await copyOf(older)
    await expectRefused(
      database,
      'log_rollback',
      /has 300 entries, but a checkpoint of 600 was signed \(checkpoint file\)/,
    )
    await expectRefused(database, 'log_rollback', /Bring the right database back.*--accept-lost-checkpoint/)
    await expectRefused(database, 'log_rollback', /300 entries/, { acceptLostCheckpoint: true })
  })

  test.each([
    ['of the same size', 300],
    ['that is larger', 777],
  ])('is newer than a database with another history %s is refused', async (_what, count) => {
    await writeFile(file, notes.older)
    const database = await copyOf(older)
    await grow(database, await open(database), count)
    await writeFile(file, notes.newer)
    await expectRefused(database, 'log_rollback', /The first 600 entries .* are not those of its signed checkpoint/)
  })

  test('is of another log is refused by a new database too', async () => {
    await writeFile(file, notes.older)
    const database = await createTestDatabase()
    onTestFinished(() => database.drop())
    await expectRefused(database, 'log_rollback', /has 0 entries, but a checkpoint of 300 was signed/)
  })

  test('is older than an older database whose history is the same cannot be told from a good one: that is for witnesses', async () => {
    await writeFile(file, notes.older)
    expect((await open(await copyOf(older))).writer.size()).toBe(300)
  })
})

describe('a file that holds no checkpoint of the log is refused, also where a lost one would be accepted:', () => {
  // One for all of them: what is refused changes nothing.
  let database: TestDatabase
  beforeAll(async () => {
    database = await createTestDatabase(newer.name)
  })
  afterAll(() => database.drop())

  test.each<[string, () => string]>([
    ['empty', () => ''],
    ['something else', () => 'not a note\n'],
    ['with another size', () => changed(notes.newer, '\n600\n', '\n601\n')],
    ['with a smaller size', () => changed(notes.newer, '\n600\n', '\n6\n')],
    ['with another root', () => changed(notes.newer, /\n600\n...../, '\n600\nAAAAA')],
    ['of another service', () => notes.newer.replaceAll('test.example', 'other.example')],
    ['without its second signature', () => `${notes.newer.split('\n').slice(0, 5).join('\n')}\n`],
    ['without signatures', () => notes.newer.split('\n').slice(0, 4).join('\n')],
    ['with a changed signature', () => changed(notes.newer, /.{9}\n$/, 'AAAAAAAA\n')],
    ['with a line more', () => changed(notes.newer, '\n\n', '\nmore\n\n')],
  ])('%s', async (_what, text) => {
    await writeFile(file, text())
    const message = /holds no checkpoint of this log: .* Is it the file, and the database, of this service\?/
    for (const acceptLostCheckpoint of [false, true]) {
      await expectRefused(database, 'log_rollback', message, { acceptLostCheckpoint })
    }
  })

  test('cut short, wherever it is cut', async () => {
    const lengths = [1, 17, 18, 22, 66, 67, 68, 100, 3_000, notes.newer.length - 2, notes.newer.length - 1]
    for (const length of lengths) {
      await writeFile(file, notes.newer.slice(0, length))
      await expectRefused(database, 'log_rollback', /holds no checkpoint of this log/)
    }
  })

  test('signed by other keys of the same name', async () => {
    await writeFile(file, notes.newer)
    const others = { auditSigner: signer('ML-DSA-44'), auditSigner87: signer('ML-DSA-87') }
    await expectRefused(database, 'log_rollback', /holds no checkpoint of this log/, { signers: others })
    const one = { ...others, auditSigner87: signers.auditSigner87 }
    await expectRefused(database, 'log_rollback', /No ML-DSA-44 key/, { signers: one })
  })

  test('that is no file is refused, and no new log', async () => {
    await mkdir(file)
    await expect(open(database)).rejects.toThrow('is no regular file')
  })
})

describe('a missing file', () => {
  test('is nothing to a log that has no entry', async () => {
    const database = await createTestDatabase()
    onTestFinished(() => database.drop())
    await open(database)
    expect(sizeOf(await readFile(file, 'utf8'))).toBe(0)
  })

  test('is refused, and told how it can be accepted', async () => {
    const database = await copyOf(newer)
    const message =
      /The log has 600 entries, but .*audit-checkpoint.* is missing:.*start once with --accept-lost-checkpoint/
    await expectRefused(database, 'checkpoint_lost', message)
  })

  test('that is accepted is in the log, once, and the next start needs no word', async () => {
    const database = await copyOf(newer)
    time += 1_000
    const log = await open(database, { acceptLostCheckpoint: true })
    expect(sizeOf(await readFile(file, 'utf8'))).toBe(600)
    await log.sequence()
    const entries = await readEntries({ database })
    expect(entries).toHaveLength(601)
    expect(entries[600]?.event).toMatchObject({
      type: 'audit_log.checkpoint_lost',
      severity: 'critical',
      organizationId: NIL_UUID,
      actor: { type: 'service', id: NIL_UUID },
      data: { logSize: 600 },
      at: time,
    })
    expect((await open(database)).writer.size()).toBe(601)
    // With the file there, the argument says nothing.
    const again = await open(database, { acceptLostCheckpoint: true })
    await again.sequence()
    expect(again.writer.size()).toBe(601)
  })

  test('does not excuse a database that is behind its own checkpoints', async () => {
    const database = await copyOf(newer)
    await database.sql.query('update audit_log_state set published_size = 299, size = 299')
    await expectRefused(database, 'log_rollback', /has 299 entries, but a checkpoint of 600 was signed \(database\)/, {
      acceptLostCheckpoint: true,
    })
  })
})

describe('with its own file a database is refused whose', () => {
  test.each([
    [
      'size went back',
      'update audit_log_state set published_size = 599, size = 599',
      /has 599 entries, but a checkpoint of 600/,
    ],
    ['size went ahead of its hashes', 'update audit_log_state set size = 601', /Hashes of the log are missing/],
    ['size went ahead by tiles', 'update audit_log_state set size = 99999', /Hashes of the log are missing/],
    [
      'hashes are others in one place',
      'update audit_tile set hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) where level = 1',
      /first 600 entries/,
    ],
    ['last hashes are missing', 'delete from audit_tile where level = 0 and first_index >= 512', /first 600 entries/],
    [
      'newest checkpoint is of another tree',
      `update audit_checkpoint set root = sha256('') where id = (select max(id) from audit_checkpoint)`,
      /first 600 entries .*\(database\)/,
    ],
  ])('%s', async (_what, statement, message) => {
    await writeFile(file, notes.newer)
    const database = await copyOf(newer)
    await database.sql.query('set session_replication_role = replica')
    expect((await database.sql.query(statement)).rowCount).toBeGreaterThan(0)
    await expectRefused(database, 'log_rollback', message)
  })
})

test('a database that lost its checkpoints, but not its tree, goes on with the file', async () => {
  await writeFile(file, notes.newer)
  const database = await copyOf(newer)
  await database.sql.query('delete from audit_checkpoint')
  await database.sql.query('update audit_log_state set published_id = null, published_size = 0')
  const log = await open(database)
  expect(log.writer.size()).toBe(600)
})

test('a checkpoint is never signed with an earlier time than the one before, wherever that is known from', async () => {
  await writeFile(file, notes.newer)
  const database = await copyOf(newer)
  time = BEGIN - 86_400_000
  try {
    const log = await open(database)
    expect(log.writer.signedAt()).toBe(BEGIN)
    await grow(database, log, 1)
    expect(log.writer.signedAt()).toBe(BEGIN)
    await database.sql.query(`update audit_checkpoint set signed_at = signed_at - interval '1 day'`)
    expect((await open(database)).writer.signedAt()).toBe(BEGIN)
  } finally {
    time = BEGIN
  }
})
