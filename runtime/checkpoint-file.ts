import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { syncFolder } from './durable-file.ts'

/** In the data folder, unless QFLARE_CHECKPOINT_FILE says otherwise. */
export function defaultCheckpointFile(dataDirectory: string): string {
  return join(dataDirectory, 'audit-checkpoint')
}

/** Undefined where there is none. */
export async function readCheckpointFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Replaces the file durably: after a crash there is the old text or the new one, whole. Anybody may read it. */
export async function writeCheckpointFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const partial = `${path}.${process.pid}.partial`
  try {
    const file = await open(partial, 'w', 0o644)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}
