import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Writes a file that was not there, of mode 0600, durably but for its name (see `syncFolder`); what cannot be written whole is
 * removed. `owner` is set on the open file, so that no other file gets him, whatever happens to the name. Throws EEXIST.
 */
export async function writeNewFile(
  path: string,
  content: string | Uint8Array,
  owner?: { uid: number; gid: number },
): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    if (owner !== undefined) await file.chown(owner.uid, owner.gid)
    await file.writeFile(content)
    await file.sync()
  } catch (error) {
    await rm(path, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

/**
 * Puts content in the place of what a file holds, whole or not at all, durably, with mode 0600. One caller at a time for each path:
 * `<path>.draft` is his.
 */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const draft = `${path}.draft`
  // Of a process that was killed.
  await rm(draft, { force: true })
  await writeNewFile(draft, content)
  await rename(draft, path)
  await syncFolder(dirname(path))
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
