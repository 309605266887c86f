import { chown, mkdir, mkdtemp, realpath, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { findBinaries } from './embedded/binaries.ts'
import { openCluster, removeLeftovers, writePassword } from './embedded/cluster.ts'
import { EmbeddedPostgresError, inUseError } from './embedded/error.ts'
import { lockFolder } from './embedded/folder-lock.ts'
import { locateCluster, recordLocation, syncFolder } from './embedded/location.ts'
import { unpackArchive } from './embedded/unpack-archive.ts'

/**
 * Puts the PostgreSQL of a base backup where the embedded one of a data folder would be made, whole or not at all. Throws
 * EmbeddedPostgresError: `data_exists` when there is one, `in_use`, `archive_invalid`, `start_failed` (another major version).
 */
export async function placeCluster(options: {
  dataDirectory: string
  /** Of the superuser, as it was when the backup was made. */
  password: string
  /** Path of the tar archive. */
  archive: string
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
    const { folder, account } = location
    const binaries = await findBinaries(account, options.log)
    await removeLeftovers(folder, options.log)
    const building = await mkdtemp(`${folder}.new-`)
    try {
      await unpackArchive(options.archive, join(building, 'data'), account, options.onProgress)
      await writePassword(join(building, 'password'), account, options.password)
      if (account) await chown(building, account.uid, account.gid)
      await openCluster({ folder: building, account, isNew: false }, binaries)
      await syncFolder(building)
      await rename(building, folder)
      await syncFolder(dirname(folder))
    } catch (error) {
      await rm(building, { recursive: true, force: true })
      throw error
    }
    await recordLocation(dataDirectory, folder)
  } finally {
    lock.release()
  }
}
