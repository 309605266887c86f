import { chmod, chown, mkdir, mkdtemp, realpath, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ClientConfig } from 'pg'
import { canEnter, findServiceAccount, isRoot } from './embedded/account.ts'
import { findBinaries } from './embedded/binaries.ts'
import { writePassword } from './embedded/cluster.ts'
import { EmbeddedPostgresError, inUseError } from './embedded/error.ts'
import { lockFolder } from './embedded/folder-lock.ts'
import { announceLocation, type Location, locateCluster, recordLocation, syncFolder } from './embedded/location.ts'
import { removeLeftovers } from './embedded/remove-leftovers.ts'
import { unpackArchive } from './embedded/unpack-archive.ts'
import { withCluster } from './embedded.ts'

/**
 * Puts the PostgreSQL of a base backup where the embedded one of a data folder would be made, whole or not at all: unpacked beside
 * its place, checked, run once for `prepare`, and only then renamed. A throw of a callback ends it. Throws EmbeddedPostgresError:
 * `data_exists` when there is one, `in_use`, `archive_invalid`, `start_failed` (another major version, another password).
 */
export async function placeCluster(options: {
  dataDirectory: string
  /** Of the superuser, as it was when the backup was made. */
  password: string
  /** The tar archive; nothing about it is believed before `requireGenuine`. */
  archive: { path: string; sizeBytes: number }
  /** Gets the SHA-256 of what was unpacked, before any of it is used. */
  requireGenuine: (sha256: string) => void
  /** What has to be so when the database appears in its place, on the restored server. */
  prepare: (superuser: ClientConfig) => Promise<void>
  log: (message: string) => void
  onProgress: (doneBytes: number) => void
}): Promise<void> {
  await mkdir(options.dataDirectory, { recursive: true, mode: 0o700 })
  const dataDirectory = await realpath(options.dataDirectory)
  const lock = await lockFolder(dataDirectory, 0)
  if (!lock) throw inUseError(options.dataDirectory)
  try {
    const location = await locateCluster(dataDirectory, options.log)
    if (!location.isNew) {
      throw new EmbeddedPostgresError(
        'data_exists',
        `${options.dataDirectory} has a database already, in ${location.folder}. Restore to another data folder, or move this one away first.`,
      )
    }
    await removeLeftovers(location, options.log)
    await announceLocation(dataDirectory, location.folder)
    await buildCluster(location, options)
    await recordLocation(dataDirectory)
  } finally {
    lock.release()
  }
}

/**
 * Runs the PostgreSQL of a base backup for `work` alone, unpacked in a folder of its own below `scratch`, over a socket that nobody
 * else may enter, and removes it again whatever happens: the very way of `placeCluster`, to no place. Throws EmbeddedPostgresError:
 * `archive_invalid`, `start_failed`, `data_unreachable` where PostgreSQL's user may not enter `scratch`.
 */
export async function tryCluster(
  options: Pick<
    Parameters<typeof placeCluster>[0],
    'password' | 'archive' | 'requireGenuine' | 'log' | 'onProgress'
  > & {
    scratch: string
    work: (superuser: ClientConfig) => Promise<void>
  },
): Promise<void> {
  const { scratch, work } = options
  const account = isRoot() ? await findServiceAccount() : undefined
  const home = await mkdtemp(join(await realpath(scratch), 'qflare-verify-'))
  try {
    if (account) await chmod(home, 0o711)
    if (!(await canEnter(account, home))) {
      throw new EmbeddedPostgresError(
        'data_unreachable',
        `PostgreSQL runs as the user ${account?.name}, who cannot enter ${scratch}. Name a folder that everybody may enter.`,
      )
    }
    await withUnpacked({ folder: join(home, 'postgres'), account }, { ...options, prepare: work }, async () => {})
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

async function buildCluster(location: Location, options: Parameters<typeof placeCluster>[0]): Promise<void> {
  const { folder } = location
  await withUnpacked(location, options, async (building) => {
    await syncFolder(building)
    await rename(building, folder)
    await syncFolder(dirname(folder))
  })
}

/** Beside its place; gone unless `keep` gave it another name. */
async function withUnpacked(
  { folder, account }: Pick<Location, 'folder' | 'account'>,
  options: Pick<
    Parameters<typeof placeCluster>[0],
    'password' | 'archive' | 'requireGenuine' | 'prepare' | 'log' | 'onProgress'
  >,
  keep: (building: string) => Promise<void>,
): Promise<void> {
  const binaries = await findBinaries(account, options.log)
  const building = await mkdtemp(`${folder}.new-`)
  try {
    options.requireGenuine(await unpackArchive(options.archive, join(building, 'data'), account, options.onProgress))
    await writePassword(join(building, 'password'), account, options.password)
    if (account) await chown(building, account.uid, account.gid)
    await withCluster({ folder: building, account, isNew: false }, binaries, options.prepare)
    await keep(building)
  } catch (error) {
    await rm(building, { recursive: true, force: true })
    throw error
  }
}
