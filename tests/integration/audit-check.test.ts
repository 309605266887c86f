import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { checkAuditLog } from '../../operations/check-audit-log.ts'
import { readCheckpointFile } from '../../runtime/checkpoint-file.ts'
import { firstOrganization, logEvents } from '../support/audit.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
let checkpointFile: string | undefined
const notSigned = 'of another tree'

beforeAll(async () => {
  service = await startTestService()
  await logEvents(service, await firstOrganization(service), 700)
  await service.database.sql.query(`set session_replication_role = replica`)
})
afterAll(() => service.close())

async function check(): Promise<string[]> {
  const { differences } = await checkAuditLog({
    database: service.database.open('qflare_sequencer', 1),
    crypto,
    keys: service.log.keys,
    checkpointFile,
    signal: new AbortController().signal,
    onProgress: () => {},
  })
  return differences.map(({ index, what }) => `${index ?? '-'}: ${what}`)
}

describe('a check of the whole log', () => {
  beforeEach(async () => {
    checkpointFile = await readCheckpointFile(service.log.options.checkpointFile)
  })

  test('finds nothing in the one that was signed, and reads all of it', async () => {
    const seen: [number, number][] = []
    const report = await checkAuditLog({
      database: service.database.open('qflare_sequencer', 1),
      crypto,
      keys: service.log.keys,
      checkpointFile,
      signal: new AbortController().signal,
      onProgress: (done, total) => seen.push([done, total]),
    })
    expect(report).toMatchObject({ differences: [], publishedSize: report.size })
    expect(report.size).toBeGreaterThan(700)
    expect(seen.at(-1)).toEqual([report.size, report.size])
  })

  const swapped = `update audit_entry a set entry = b.entry from audit_entry b
    where (a.index, b.index) in ((300, 301), (301, 300))`
  const changes: [string, string, string[]][] = [
    [
      'an entry that was changed',
      `update audit_entry set entry = replace(entry, 'device.', 'devise.') where index = 444`,
      ['444: is not the one that was logged', '444: is filed under another type'],
    ],
    [
      'a column that filters look at',
      `update audit_entry set severity = 'info' where index = 400`,
      ['400: is filed under another severity'],
    ],
    [
      'the organization of an entry',
      `update audit_entry set organization_id = gen_random_uuid() where index = 9`,
      ['9: is filed under another organizationId'],
    ],
    [
      'the device of an entry',
      `update audit_entry set device_id = null where index = 500`,
      ['500: is filed under another deviceId'],
    ],
    ['an entry that is gone', 'delete from audit_entry where index = 123', ['123: is missing']],
    [
      'an event that is said to stand elsewhere',
      'delete from audit_event_id where index = 77',
      ['77: is not where the table of event ids says'],
    ],
    [
      'a tile of leaf hashes',
      `update audit_tile set hashes = overlay(hashes placing '\\x00'::bytea from 1) where level = 0 and first_index = 0`,
      ['0: is not the one that was logged'],
    ],
    [
      'a tile above',
      `update audit_tile set hashes = overlay(hashes placing '\\x00000000'::bytea from 1) where level = 1 and first_index = 0`,
      ['-: tile 1/0 is not made of the tiles below it'],
    ],
    [
      'a tile that is gone',
      'delete from audit_tile where level = 0 and first_index >= 512',
      ['512: the tile has 0 hashes'],
    ],
    [
      'another root of a checkpoint',
      `update audit_checkpoint set root = sha256('x') where id = (select max(id) from audit_checkpoint)`,
      [notSigned],
    ],
    [
      'another text of a checkpoint',
      `update audit_checkpoint set note = replace(note, 'test.example', 'best.example') where id = (select max(id) from audit_checkpoint)`,
      ['a checkpoint is not one of this log'],
    ],
    [
      'rows behind the end',
      `insert into audit_tile (level, first_index, hashes) values (0, 100000, sha256('x'))`,
      ['there are rows behind the end of the log: tiles'],
    ],
  ]

  test.each(changes)('names %s', async (_what, change, expected) => {
    const { sql } = service.database
    const tables = ['audit_entry', 'audit_event_id', 'audit_tile', 'audit_checkpoint']
    for (const table of tables) await sql.query(`create temp table kept_${table} as table ${table}`)
    try {
      await sql.query(change)
      const differences = (await check()).join('\n')
      for (const text of expected) expect(differences).toContain(text)
    } finally {
      for (const table of tables) {
        await sql.query(`delete from ${table}`)
        await sql.query(
          `insert into ${table} overriding system value select * from kept_${table}; drop table kept_${table}`,
        )
      }
    }
    expect(await check(), 'put back').toEqual([])
  })

  test('names both of two entries that changed places', async () => {
    const { sql } = service.database
    await sql.query(swapped)
    try {
      expect((await check()).join('\n')).toMatch(/300: is not the one[^]*301: is not the one/)
    } finally {
      await sql.query(swapped)
    }
    expect(await check()).toEqual([])
  })

  test('names a checkpoint file of another tree, and one of another log', async () => {
    checkpointFile = checkpointFile?.replace('test.example', 'best.example')
    expect(await check()).toEqual([expect.stringContaining('a checkpoint is not one of this log')])
  })
})
