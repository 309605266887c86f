import { lstat, open } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'

export interface FileLock {
  release(): void
}

/** SQLITE_BUSY */
const lockedByAnother = 5

/**
 * A lock between processes that ends with the one that holds it, also under `kill -9`; undefined when another has it. Node has no
 * flock, and two that find the id of a dead process in a file both take it over; the kernel takes an SQLite lock back. `path` is a
 * file of nothing, made when it is missing; rejects where it is anything else.
 */
export async function lockFile(path: string): Promise<FileLock | undefined> {
  await createEmpty(path)
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path)
    // No journal file beside the lock.
    database.exec('PRAGMA journal_mode = MEMORY')
    // Of those that try at the same moment, exactly one has it. BEGIN EXCLUSIVE may refuse them all.
    database.exec('BEGIN IMMEDIATE')
  } catch (error) {
    database?.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === lockedByAnother) return undefined
    throw error
  }
  const held = database
  return { release: () => held.close() }
}

async function createEmpty(path: string): Promise<void> {
  // Opened here only when it is new: to close any descriptor of it would end a lock that this process has on it.
  const file = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return undefined
    throw error
  })
  await file?.close()
  if (file !== undefined) return
  const facts = await lstat(path)
  if (!facts.isFile() || facts.size > 0) throw new Error('it is there and is no lock')
}
