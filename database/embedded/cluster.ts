import { randomBytes } from 'node:crypto'
import { chown, mkdtemp, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Account, runAs } from './account.ts'
import type { Binaries } from './binaries.ts'
import { EmbeddedPostgresError, findErrorCode, toMessage } from './error.ts'
import { type Location, syncFolder } from './location.ts'
import { readSmallFile } from './read-small-file.ts'

/** One folder with everything of one PostgreSQL: `data/`, `password`, its log and, if the path is short, its socket. */
export interface Cluster {
  readonly folder: string
  readonly pgdata: string
  readonly account: Account | undefined
  /** of the bootstrap superuser */
  readonly password: string
}

/** Runs initdb beside the final place and renames: a crash leaves a whole cluster there or none. */
export async function createCluster({ folder, account }: Location, binaries: Binaries): Promise<void> {
  const building = await mkdtemp(`${folder}.new-`)
  try {
    if (account) await chown(building, account.uid, account.gid)
    const passwordFile = join(building, 'password')
    await writePassword(passwordFile, account, randomBytes(32).toString('base64url'))
    const result = await runAs(account, binaries.initdb, [
      `--pgdata=${join(building, 'data')}`,
      '--username=postgres',
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--data-checksums',
      '--no-instructions',
    ])
    if (!result.succeeded) {
      throw new EmbeddedPostgresError(
        'initdb_failed',
        `PostgreSQL could not create its data in ${building}. Mend the cause and start again. ` +
          `It said:\n${result.output.trim().split('\n').slice(-10).join('\n')}`,
      )
    }
    await syncFolder(building)
    await rename(building, folder)
    await syncFolder(dirname(folder))
  } catch (error) {
    await rm(building, { recursive: true, force: true })
    // somebody else's cluster is there by now: go on with that one
    if (findErrorCode(error) !== 'ENOTEMPTY' && findErrorCode(error) !== 'EEXIST') throw error
  }
}

export async function openCluster({ folder, account }: Location, binaries: Binaries): Promise<Cluster> {
  const pgdata = join(folder, 'data')
  const found = await readSmallFile(join(pgdata, 'PG_VERSION')).catch((error: unknown) => {
    throw unreadable(`${pgdata} is not a PostgreSQL data folder`, error)
  })
  const major = binaries.version.split('.')[0]
  if (found.trim() !== major) {
    throw new EmbeddedPostgresError(
      'start_failed',
      `The data in ${folder} was written by PostgreSQL ${found.trim()}, but this QFLARE brings PostgreSQL ${major}. ` +
        `Set DATABASE_URL to a PostgreSQL ${found.trim()} that serves it, or dump it there and restore it here.`,
    )
  }
  return { folder, pgdata, account, password: await readPassword(join(folder, 'password')) }
}

export async function writePassword(file: string, account: Account | undefined, password: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600)
  try {
    if (account) await handle.chown(account.uid, account.gid)
    await handle.writeFile(`${password}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export async function readPassword(file: string): Promise<string> {
  try {
    return (await readSmallFile(file)).trim()
  } catch (error) {
    throw unreadable(`The superuser's password in ${file} cannot be read`, error)
  }
}

function unreadable(what: string, cause: unknown): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    'data_unreachable',
    `${what} (${toMessage(cause)}). Restore the whole folder from a backup.`,
    {
      cause,
    },
  )
}
