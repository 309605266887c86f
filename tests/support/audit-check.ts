import { expect } from 'vitest'
import { checkAuditLog } from '../../database/check-audit-log.ts'
import type { Database } from '../../database/open.ts'
import { readCheckpointFile } from '../../runtime/checkpoint-file.ts'
import { crypto, type TestService } from './service.ts'

const openDatabases = new WeakMap<TestService, Database>()

/** As `qflare audit check` does it, beside whatever the service does. */
export function checkService(
  service: TestService,
  options: {
    checkpointFile?: () => Promise<string | undefined>
    onProgress?: (done: number, total: number) => void
  } = {},
) {
  const database = openDatabases.get(service) ?? service.database.open('qflare_sequencer', 1)
  openDatabases.set(service, database)
  return checkAuditLog({
    database,
    crypto,
    keys: service.log.keys,
    readCheckpointFile: options.checkpointFile ?? (() => readCheckpointFile(service.log.options.checkpointFile)),
    signal: new AbortController().signal,
    onProgress: options.onProgress ?? (() => {}),
  })
}

export async function listDifferences(...args: Parameters<typeof checkService>): Promise<string[]> {
  const { differences } = await checkService(...args)
  return differences.map(({ index, what }) => `${index ?? '-'}: ${what}`)
}

/** All that the log is stored in. */
export const logTables = [
  'audit_entry',
  'audit_event_id',
  'audit_tile',
  'audit_checkpoint',
  'audit_cosignature',
  'audit_partition',
  'audit_log_state',
]

/** Makes a change as somebody who may do anything with the database, expects the check to say this of it, and puts all back. */
export async function expectNamed(service: TestService, change: string, expected: readonly string[]): Promise<void> {
  const { sql } = service.database
  await sql.query('set session_replication_role = replica')
  for (const table of logTables) await sql.query(`create temp table kept_${table} as table ${table}`)
  try {
    await sql.query(change)
    const differences = (await listDifferences(service)).join('\n')
    for (const text of expected) expect(differences).toContain(text)
  } finally {
    for (const table of logTables) {
      await sql.query(`delete from ${table}`)
      await sql.query(
        `insert into ${table} overriding system value select * from kept_${table}; drop table kept_${table}`,
      )
    }
  }
  expect(await listDifferences(service), 'put back').toEqual([])
}
