import { randomUUID } from 'node:crypto'
import { chmod, link, mkdir, open, readdir, readFile, stat, statfs, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { TemporalKeyName, TemporalKeyStore } from './temporal-key-store.ts'

/** tmpfs and ramfs, statfs(2). */
const memoryFileSystems = new Set([0x01021994, 0x858458f6])

/** One file of mode 0600 per record, in a folder of mode 0700 of this user alone. */
export async function openFileTemporalKeyStore(folder: string): Promise<TemporalKeyStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { uid, mode } = await stat(folder)
  if (process.getuid !== undefined && uid !== process.getuid()) {
    throw new Error(`${folder} belongs to another user: temporal keys cannot be kept there.`)
  }
  if ((mode & 0o077) !== 0) await chmod(folder, 0o700)
  const { type } = await statfs(folder)
  const nameOf = ({ kind, number, generation }: TemporalKeyName) => `${kind}-${number}-${generation}`
  const pathOf = (name: TemporalKeyName) => join(folder, nameOf(name))
  const draftsOf = (name: TemporalKeyName) => `.draft-${nameOf(name)}-`

  return {
    isErasable: memoryFileSystems.has(type),
    async makeOnce(name, record) {
      const path = pathOf(name)
      const draft = join(folder, `${draftsOf(name)}${randomUUID()}`)
      // Somebody may have cleared the memory file system while we ran.
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const file = await open(draft, 'wx', 0o600)
      try {
        await file.writeFile(record)
        await file.sync()
      } finally {
        await file.close()
      }
      try {
        // link(2) fails when the name is taken: of many writers exactly one makes the record, and it is never half there.
        await link(draft, path)
        await syncFolder(folder)
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error
      } finally {
        await unlink(draft)
      }
      return readFile(path)
    },
    async find(name) {
      try {
        return await readFile(pathOf(name))
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return undefined
        throw error
      }
    },
    async destroy(name) {
      // A crash between link and unlink left the record under a second name.
      const drafts = (await readFolder(folder)).filter((entry) => entry.startsWith(draftsOf(name)))
      for (const draft of drafts) await unlinkIfThere(join(folder, draft))
      const wasThere = await unlinkIfThere(pathOf(name))
      if (wasThere || drafts.length > 0) await syncFolder(folder)
      return wasThere
    },
  }
}

async function readFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

async function unlinkIfThere(path: string): Promise<boolean> {
  try {
    await unlink(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
