import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRoot } from './account.ts'
import { EmbeddedPostgresError, findErrorCode, toMessage } from './error.ts'

export interface FolderLock {
  release(): void
}

/** SQLITE_BUSY */
const lockedByAnother = 5
const retryMs = 50

// a database that is garbage-collected drops its lock
const held = new Set<DatabaseSync>()

/**
 * The right to start, adopt or stop the PostgreSQL of one data folder; undefined when another process keeps it for
 * longer than `waitMs`. Node has no flock, and a file with a process id in it outlives `kill -9` and means nothing in
 * the next container; the kernel takes an SQLite lock back with its process. Nothing is ever stored in the file.
 */
export async function lockFolder(folder: string, waitMs: number): Promise<FolderLock | undefined> {
  const file = join(folder, 'postgres.lock')
  await createLockFile(file, folder)
  const deadline = performance.now() + waitMs
  for (;;) {
    const database = tryLock(file)
    if (database) {
      held.add(database)
      return {
        release: () => {
          if (held.delete(database)) database.close()
        },
      }
    }
    if (performance.now() > deadline) return undefined
    await sleep(retryMs)
  }
}

async function createLockFile(file: string, folder: string): Promise<void> {
  let handle: FileHandle
  try {
    // only ever opened here when new: closing any descriptor of the file drops this process's lock on it
    handle = await open(file, 'wx', 0o600)
  } catch (error) {
    if (findErrorCode(error) === 'EEXIST') return
    throw error
  }
  try {
    if (isRoot()) {
      // so that the folder's owner can still start without root
      const { uid, gid } = await stat(folder)
      await handle.chown(uid, gid)
    }
  } finally {
    await handle.close()
  }
}

function tryLock(file: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(file)
    // no journal file beside the lock
    database.exec('PRAGMA journal_mode = MEMORY')
    database.exec('BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database?.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === lockedByAnother) return undefined
    throw new EmbeddedPostgresError(
      'data_unreachable',
      `${file} cannot be locked (${toMessage(error)}). Mend that, or set QFLARE_DATA_DIR.`,
      { cause: error },
    )
  }
}
