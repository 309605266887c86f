import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Client } from 'pg'

/** How far the sequencer was, by what it left: `idle` where nothing shows a batch under way. */
export const moments = ['idle', 'appended', 'committed', 'written'] as const
export type Moment = (typeof moments)[number]

/** Of a log whose sequencer was killed and whose database still runs. */
export async function findMoment(sql: Client, checkpointFile: string): Promise<Moment> {
  const { rows } = await sql.query<{ size: string; published_id: string; id: string; of: string; note: string }>(
    `select s.size, s.published_id, c.id, c.size as of, c.note from audit_log_state s,
      (select * from audit_checkpoint order by id desc limit 1) c`,
  )
  const [row] = rows
  if (row === undefined) return 'idle'
  if (row.size !== row.of) return 'appended'
  if (row.id === row.published_id) return 'idle'
  return (await readFile(checkpointFile, 'utf8').catch(() => '')) === row.note ? 'written' : 'committed'
}

/** Files that a killed process had not put into their place yet. */
export async function listDrafts(checkpointFile: string): Promise<string[]> {
  const names = await readdir(dirname(checkpointFile))
  return names.filter((name) => name.startsWith(`${basename(checkpointFile)}.`) && name.endsWith('.draft'))
}
