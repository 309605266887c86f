import { createHash } from 'node:crypto'
import { open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { type Account, canEnter, findServiceAccount, isRoot } from './account.ts'
import { EmbeddedPostgresError, findErrorCode, toMessage } from './error.ts'
import { readSmallFile } from './read-small-file.ts'
import { makeSystemFolder, systemFolder } from './system-folder.ts'

export interface Location {
  /** the cluster's folder: exists when `isNew` is false */
  readonly folder: string
  readonly account: Account | undefined
  readonly isNew: boolean
}

/**
 * Where the PostgreSQL of a data folder lies, or is to be made, and who runs it.
 *
 * @param dataDirectory real path of an existing folder
 */
export async function locateCluster(dataDirectory: string, log: (message: string) => void): Promise<Location> {
  const existing = await findCluster(dataDirectory)
  if (existing) return existing
  const inside = join(dataDirectory, 'postgres')
  if (!isRoot()) return { folder: inside, account: undefined, isNew: true }

  const account = await findServiceAccount()
  if (!account) {
    throw new EmbeddedPostgresError(
      'unsupported_platform',
      'PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it. ' +
        'Start QFLARE as an ordinary user, or set DATABASE_URL to use a PostgreSQL of your own.',
    )
  }
  if (await canEnter(account, dataDirectory)) return { folder: inside, account, isNew: true }

  const folder = await chooseOutside(dataDirectory, log)
  log(`PostgreSQL runs as the user ${account.name}, who cannot enter ${dataDirectory}: its data goes to ${folder}.`)
  return { folder, account, isNew: true }
}

/**
 * Where the PostgreSQL of a data folder lies, if it has one; changes nothing.
 *
 * @throws EmbeddedPostgresError 'data_unreachable'
 */
export async function findCluster(dataDirectory: string): Promise<Location | undefined> {
  const recorded = await findRecord(dataDirectory)
  if (recorded === undefined) {
    const inside = join(dataDirectory, 'postgres')
    return (await isEmpty(inside)) ? undefined : locateExisting(await realpath(inside))
  }
  // an empty database in place of a lost one would look like a working service
  if (!(await isEmpty(recorded))) return locateExisting(recorded)
  throw unreachable(
    `${recordFile(dataDirectory)} says that the PostgreSQL data is in ${recorded}, but it is not there. ` +
      'Restore that folder, or remove the file to begin with an empty database.',
  )
}

/** Says where a cluster is about to be made. It counts when the cluster is there: earlier, a crash would look like lost data. */
export async function announceLocation(dataDirectory: string, folder: string): Promise<void> {
  if (folder === join(dataDirectory, 'postgres')) return
  const file = `${recordFile(dataDirectory)}.new`
  await rm(file, { force: true })
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(`${folder}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await syncFolder(dataDirectory)
}

/** Call once the cluster exists. Safe to repeat. */
export async function recordLocation(dataDirectory: string): Promise<void> {
  const file = recordFile(dataDirectory)
  try {
    await rename(`${file}.new`, file)
  } catch (error) {
    if (findErrorCode(error) === 'ENOENT') return
    throw error
  }
  await syncFolder(dataDirectory)
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** PostgreSQL insists on running as the owner of its data. */
async function locateExisting(folder: string): Promise<Location> {
  const { uid, gid } = await stat(join(folder, 'data')).catch((error: unknown) => {
    throw unreachable(`${folder} holds no PostgreSQL data that can be read. Restore it, or move it away.`, error)
  })
  if (!isRoot()) {
    if (uid === process.getuid?.()) return { folder, account: undefined, isNew: false }
    throw unreachable(
      `The PostgreSQL data in ${folder} belongs to user id ${uid}. Start QFLARE as that user or as root.`,
    )
  }
  if (uid === 0) throw unreachable(`The PostgreSQL data in ${folder} belongs to root; give it to an ordinary user.`)
  const account = { name: `#${uid}`, uid, gid }
  if (await canEnter(account, folder)) return { folder, account, isNew: false }
  throw unreachable(
    `The PostgreSQL data in ${folder} belongs to user id ${uid}, who cannot enter that folder. Open it and those above.`,
  )
}

async function chooseOutside(dataDirectory: string, log: (message: string) => void): Promise<string> {
  const home = join(systemFolder, createHash('sha256').update(dataDirectory).digest('hex').slice(0, 16))
  await makeSystemFolder(systemFolder)
  await makeSystemFolder(home)
  // What is there belongs to an earlier data folder of the same path; its record may come back with a volume.
  for (let number = 1; ; number++) {
    const folder = join(home, number === 1 ? 'postgres' : `postgres-${number}`)
    if (await isEmpty(folder)) return folder
    log(`${folder} is left from an earlier data folder ${dataDirectory}; remove it when nobody needs it any more.`)
  }
}

async function findRecord(dataDirectory: string): Promise<string | undefined> {
  const file = recordFile(dataDirectory)
  const folder = await readIfThere(file)
  if (folder === undefined) return findAnnounced(file)
  if (isAbsolute(folder)) return folder
  throw unreachable(`${file} does not name a folder. Write the path of the PostgreSQL data into it.`)
}

/** Of a start that was killed when the cluster was in its place and was not recorded yet: it counts from when it is there. */
async function findAnnounced(file: string): Promise<string | undefined> {
  const folder = await readIfThere(`${file}.new`)
  return folder !== undefined && isAbsolute(folder) && !(await isEmpty(folder)) ? folder : undefined
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return (await readSmallFile(file)).trim()
  } catch (error) {
    if (findErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0
  } catch (error) {
    if (findErrorCode(error) === 'ENOENT') return true
    throw unreachable(`${folder} cannot be read (${toMessage(error)}).`, error)
  }
}

function recordFile(dataDirectory: string): string {
  return join(dataDirectory, 'postgres-location')
}

function unreachable(message: string, cause?: unknown): EmbeddedPostgresError {
  return new EmbeddedPostgresError('data_unreachable', message, { cause })
}
