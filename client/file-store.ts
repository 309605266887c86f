import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { platform } from 'node:os'
import { dirname, resolve } from 'node:path'
import type { DeviceStore } from './device-state.ts'
import { QflareError } from './errors.ts'
import { clearCodec, type StateCodec } from './state-codec.ts'

const LOCK_WAIT_MS = 20
const LOCK_TRIES = 100
const LOCK_STALE_MS = 10_000

/**
 * The state of a device in one file of mode 0600, of the user of the process.
 *
 * A folder that is missing is made, with mode 0700, where the one above it is there: a mistyped path makes no tree of folders.
 *
 * Durability: a save writes `<path>.next`, syncs it, renames it and syncs the folder. Concurrency: `<path>.next` exists once,
 * so that it is also the lock between processes. Loss: the device enrols again. Tampering and theft: whoever reads the file
 * is the device. Rollback to an older copy lowers the bucket floor, brings back chain keys that were erased, and from before a
 * rotation a key that the server refuses: keep the file out of backups. An erased chain is gone from the file; the disk below may keep old blocks.
 */
export function createFileStore(path: string): DeviceStore {
  return createEncodedFileStore(path, clearCodec)
}

/** The same, written down in another way. */
export function createEncodedFileStore(path: string, codec: StateCodec): DeviceStore {
  const file = resolve(path)
  return {
    load: () => loadFile(file, codec),
    async save(state) {
      const next = await lockNext(file)
      try {
        const stored = await loadFile(file, codec)
        if (state.revision !== (stored?.revision ?? 0) + 1) {
          throw new QflareError('state_changed', `Another process changed ${file} in between.`)
        }
        await next.writeFile(await codec.encode(state))
        await next.sync()
        await rename(`${file}.next`, file)
      } catch (error) {
        await rm(`${file}.next`, { force: true })
        throw error instanceof QflareError ? error : unusable(file, error)
      } finally {
        await next.close()
      }
      await syncFolder(dirname(file))
    },
    async prepare() {
      await codec.prepare()
      const next = await lockNext(file)
      await next.close()
      await rm(`${file}.next`)
    },
  }
}

async function loadFile(file: string, codec: StateCodec) {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw unusable(file, error)
  })
  if (handle === undefined) return undefined
  try {
    const { mode, uid } = await handle.stat()
    if (uid !== (process.geteuid?.() ?? uid)) {
      throw new QflareError(
        'state_unusable',
        `it belongs to another user (uid ${uid}), who would decide what this process does. Run as that user, or chown the file.`,
      )
    }
    if (platform() !== 'win32' && (mode & 0o077) !== 0) {
      throw new QflareError(
        'state_unusable',
        `others can read the private key. If nobody did: chmod 600. Otherwise revoke the device and enrol it anew.`,
      )
    }
    return await codec.decode(await handle.readFile('utf8'))
  } catch (error) {
    throw error instanceof QflareError
      ? new QflareError(error.code, `${file}: ${error.message}`)
      : unusable(file, error)
  } finally {
    await handle.close()
  }
}

async function lockNext(file: string): Promise<FileHandle> {
  const next = `${file}.next`
  try {
    await makeFolder(dirname(file))
    for (let tries = 1; tries <= LOCK_TRIES; tries++) {
      const handle = await open(next, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return undefined
        throw error
      })
      if (handle !== undefined) return handle
      await removeStaleLock(next)
      await new Promise((done) => setTimeout(done, LOCK_WAIT_MS))
    }
  } catch (error) {
    throw unusable(file, error)
  }
  throw new QflareError('state_changed', `Another process holds ${next}.`)
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
}

/** What a process left behind that died while it wrote. */
async function removeStaleLock(next: string): Promise<void> {
  const found = await stat(next).catch(() => undefined)
  if (found !== undefined && Date.now() - found.mtimeMs > LOCK_STALE_MS) await rm(next, { force: true })
}

/** Makes names that were added, changed or removed in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows opens no folder; its rename is durable with the journal.
  if (platform() === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function unusable(file: string, cause: unknown): QflareError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new QflareError('state_unusable', `${file} cannot be read or written (${reason}).`, { cause })
}
