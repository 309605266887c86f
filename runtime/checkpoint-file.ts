import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { replaceFile } from './durable-file.ts'

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

/** Durably: after a crash there is the old text or the new one, whole. */
export async function writeCheckpointFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await replaceFile(path, text)
}
