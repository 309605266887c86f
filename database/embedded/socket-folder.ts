import { chown, mkdtemp, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { canEnter } from './account.ts'
import type { Cluster } from './cluster.ts'
import { EmbeddedPostgresError } from './error.ts'

/** Names the socket; nothing listens on TCP. */
export const postgresPort = 5432
export const socketName = `.s.PGSQL.${postgresPort}`

/** sun_path of macOS, with its final zero byte; Linux allows four bytes more */
const pathLimitBytes = 104
const temporaryPrefix = 'qflare-postgres-'

/** The cluster's own folder, or a fresh one with a shorter path: both may be entered by PostgreSQL's account alone. */
export async function chooseSocketFolder({ folder, account }: Cluster): Promise<string> {
  if (fits(folder)) return folder
  for (const parent of new Set([tmpdir(), '/tmp'])) {
    // mkdtemp puts six characters behind the prefix
    if (!fits(join(parent, `${temporaryPrefix}xxxxxx`)) || !(await canEnter(account, parent))) continue
    const chosen = await mkdtemp(join(parent, temporaryPrefix))
    if (account) await chown(chosen, account.uid, account.gid)
    return chosen
  }
  throw new EmbeddedPostgresError(
    'start_failed',
    `${folder} is too long a path for PostgreSQL's socket, and so is the folder for temporary files. ` +
      'Set QFLARE_DATA_DIR or TMPDIR to a shorter path.',
  )
}

/** Removes a temporary socket folder with no server any more, and nothing else whatever the path says. */
export async function removeSocketFolder(folder: string): Promise<void> {
  if (!basename(folder).startsWith(temporaryPrefix)) return
  await rm(join(folder, socketName), { force: true })
  await rm(join(folder, `${socketName}.lock`), { force: true })
  await rmdir(folder).catch(() => undefined)
}

function fits(folder: string): boolean {
  return Buffer.byteLength(join(folder, socketName)) < pathLimitBytes
}
