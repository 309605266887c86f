import { chown, mkdir, mkdtemp, realpath, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ClientConfig } from 'pg'
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

async function buildCluster({ folder, account }: Location, options: Parameters<typeof placeCluster>[0]): Promise<void> {
  const binaries = await findBinaries(account, options.log)
  const building = await mkdtemp(`${folder}.new-`)
  try {
    options.requireGenuine(await unpackArchive(options.archive, join(building, 'data'), account, options.onProgress))
    await writePassword(join(building, 'password'), account, options.password)
    if (account) await chown(building, account.uid, account.gid)
    await withCluster({ folder: building, account, isNew: false }, binaries, options.prepare)
    await syncFolder(building)
    await rename(building, folder)
    await syncFolder(dirname(folder))
  } catch (error) {
    await rm(building, { recursive: true, force: true })
    throw error
  }
}
