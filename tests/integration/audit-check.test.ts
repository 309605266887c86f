import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readCheckpointFile } from '../../runtime/checkpoint-file.ts'
import { firstOrganization, logEvents } from '../support/audit.ts'
import { checkService, expectNamed, listDifferences, logTables } from '../support/audit-check.ts'
import { startTestService, type TestService } from '../support/service.ts'

describe('a check of the whole log', () => {
  let service: TestService
  let checkpointFile: string | undefined
  const check = () => listDifferences(service, { checkpointFile: async () => checkpointFile })

  beforeAll(async () => {
    service = await startTestService()
    await logEvents(service, await firstOrganization(service), 700)
    await service.database.sql.query(`set session_replication_role = replica`)
  })
  afterAll(() => service.close())
  beforeEach(async () => {
    checkpointFile = await readCheckpointFile(service.log.options.checkpointFile)
  })

  test('finds nothing in the one that was signed, and reads all of it', async () => {
    const seen: [number, number][] = []
    const report = await checkService(service, { onProgress: (done, total) => seen.push([done, total]) })
    expect(report).toMatchObject({ differences: [], publishedSize: report.size })
    expect(report.size).toBeGreaterThan(700)
    expect(seen.at(-1)).toEqual([report.size, report.size])
  })

  /** Of the first 512 entries, on the edge of no tile. */
  const cutAt = (
    size: number,
  ) => `update audit_log_state set published_size = least(published_size, ${size}), size = ${size};
    delete from audit_entry where index >= ${size}; delete from audit_event_id where index >= ${size};
    delete from audit_tile where first_index >= ${size} or (level = 1 and first_index >= ${size} / 256);
    update audit_tile set hashes = substr(hashes, 1, ((least(${size} >> (8 * level), first_index + 256) - first_index) * 32)::int)
      where first_index + length(hashes) / 32 > ${size} >> (8 * level)`
  const publishNewest = `update audit_log_state set published_id = (select max(id) from audit_checkpoint),
    published_size = (select size from audit_checkpoint order by id desc limit 1)`
  /** With their hashes and event ids, in a tile that no tile above is made of. */
  const reordered = `${['audit_entry', 'audit_event_id']
    .map(
      (
        table,
      ) => `update ${table} set index = 999999 where index = 600; update ${table} set index = 600 where index = 601;
        update ${table} set index = 601 where index = 999999`,
    )
    .join(';')};
    update audit_tile set hashes = substr(hashes, 1, at) || substr(hashes, at + 33, 32) || substr(hashes, at + 1, 32)
        || substr(hashes, at + 65)
      from (select first_index as first, ((600 - first_index) * 32)::int as at from audit_tile where level = 0) as places
      where level = 0 and first_index = first and at >= 0 and at + 64 <= length(hashes)`
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
      'an event that is said to be of another organization',
      'update audit_event_id set organization_id = gen_random_uuid() where index = 300',
      ['300: is of another organization in the table of event ids'],
    ],
    [
      'an entry that is gone from a partition that is said to be removed',
      'delete from audit_entry where index = 300; update audit_partition set removed_at = now()',
      ['300: is missing', '0: and all that follow up to 4194303 are said to be removed, but not all are gone'],
    ],
    [
      'entries that are all gone, and said to be removed by nobody',
      'delete from audit_entry; update audit_partition set removed_at = now()',
      ['0: is missing, and all that follow up to'],
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
    ['a tree that fits together, but is not the one that was signed', reordered, ['entries is of another tree']],
    [
      'another root of a checkpoint',
      `update audit_checkpoint set root = sha256('x') where id = (select max(id) from audit_checkpoint)`,
      ['is filed under another root than was signed'],
    ],
    [
      'another time of a checkpoint',
      `update audit_checkpoint set signed_at = signed_at + interval '1 second' where id = (select max(id) from audit_checkpoint)`,
      ['is filed under another time than was signed'],
    ],
    [
      'the text of an older checkpoint in a newer one',
      `update audit_checkpoint set note = (select note from audit_checkpoint order by id limit 1)
        where id = (select max(id) from audit_checkpoint)`,
      ['is filed under another size than was signed', 'is filed under another root than was signed'],
    ],
    ['checkpoints that are all gone', 'delete from audit_checkpoint', ['-: there is no checkpoint of a log']],
    [
      'another published checkpoint',
      `update audit_log_state set published_id = (select min(id) from audit_checkpoint)`,
      ['are said to be published, but the published checkpoint has 0'],
    ],
    [
      'a published checkpoint that is gone',
      `update audit_log_state set published_id = 123456`,
      ['-: checkpoint 123456, which is published, is missing'],
    ],
    [
      'another published size',
      `update audit_log_state set published_size = published_size - 1`,
      ['are said to be published, but the published checkpoint has'],
    ],
    [
      'a published size without a checkpoint',
      `update audit_log_state set published_id = null`,
      ['are said to be published, but the published checkpoint has 0'],
    ],
    [
      'a published size beyond the log',
      `alter table audit_log_state drop constraint if exists audit_log_state_check;
        update audit_log_state set published_size = size + 1`,
      ['entries are said to be published, of '],
    ],
    [
      'a tail that is cut off',
      `${cutAt(500)}; delete from audit_checkpoint where size > 500; ${publishNewest}`,
      ['is of a larger log: this one has 500'],
    ],
    ['a tail that is cut off under the checkpoints, which go on', cutAt(500), ['is of a larger log: this one has 500']],
    [
      'a log that is emptied, checkpoints and all',
      `${logTables
        .slice(0, 5)
        .map((table) => `delete from ${table}`)
        .join(';')}; update audit_log_state set size = 0, published_size = 0, published_id = null`,
      ['is of a larger log: this one has 0'],
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
    [
      'a hash beyond the end of a tile above',
      `insert into audit_tile (level, first_index, hashes) values (1, (select size / 256 from audit_log_state), sha256('x'))`,
      ['there are rows behind the end of the log: tiles'],
    ],
    [
      'a tile of a level that the tree has not reached',
      `insert into audit_tile (level, first_index, hashes) values (2, 0, sha256('x'))`,
      ['there are rows behind the end of the log: tiles'],
    ],
  ]

  test.each(changes)('names %s', (_what, change, expected) => expectNamed(service, change, expected))

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

  test('names a checkpoint file that is missing', async () => {
    checkpointFile = undefined
    expect(await check()).toEqual(['-: the checkpoint file is missing'])
  })
})
