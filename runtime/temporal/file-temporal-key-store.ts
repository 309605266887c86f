import { randomUUID } from 'node:crypto'
import { chmod, link, mkdir, readdir, readFile, stat, statfs, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder, writeNewFile } from '../durable-file.ts'
import { parseRecordName, toRecordName } from './record-name.ts'
import type { TemporalKeyName, TemporalKeyStore } from './temporal-key-store.ts'

/** tmpfs and ramfs, statfs(2). */
const memoryFileSystems = new Set([0x01021994, 0x858458f6])

/** The records in a folder, without making or changing it; drafts and what else lies there are left out. */
export async function listRecords(folder: string): Promise<TemporalKeyName[]> {
  return (await readFolder(folder)).map(parseRecordName).filter((name) => name !== undefined)
}

/** The sealed record, without making or changing anything. */
export async function findRecord(folder: string, name: TemporalKeyName): Promise<Uint8Array | undefined> {
  try {
    return await readFile(join(folder, toRecordName(name)))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** One file of mode 0600 per record, in a folder of mode 0700 of this user alone. */
export async function openFileTemporalKeyStore(folder: string): Promise<TemporalKeyStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { uid, mode } = await stat(folder)
  if (process.getuid !== undefined && uid !== process.getuid()) {
    throw new Error(`${folder} belongs to another user: temporal keys cannot be kept there.`)
  }
  if ((mode & 0o077) !== 0) await chmod(folder, 0o700)
  const pathOf = (name: TemporalKeyName) => join(folder, toRecordName(name))
  const draftsOf = (name: TemporalKeyName) => `.draft-${toRecordName(name)}-`

  return {
    isErasable: await isOnMemory(folder),
    async makeOnce(name, record) {
      const path = pathOf(name)
      const draft = join(folder, `${draftsOf(name)}${randomUUID()}`)
      // Somebody may have cleared the memory file system while we ran.
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await writeNewFile(draft, record)
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
    find: (name) => findRecord(folder, name),
    list: () => listRecords(folder),
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

export async function isOnMemory(folder: string): Promise<boolean> {
  return memoryFileSystems.has((await statfs(folder)).type)
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

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
