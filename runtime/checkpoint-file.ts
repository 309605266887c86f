import { randomUUID } from 'node:crypto'
import { mkdir, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { syncFolder, writeNewFile } from './durable-file.ts'
import { readSmallFile } from './read-small-file.ts'

/** A note of 32 signatures has not half of that. */
const MAX_BYTES = 256 << 10

/** Nobody writes a draft for as long as this. */
const DRAFT_LEFT_AFTER_MS = 60_000

/** In the data folder, unless QFLARE_CHECKPOINT_FILE says otherwise. */
export function defaultCheckpointFile(dataDirectory: string): string {
  return join(dataDirectory, 'audit-checkpoint')
}

/** Undefined where there is none. Throws FileError for what is no small regular file. */
export async function readCheckpointFile(path: string): Promise<string | undefined> {
  try {
    const { content } = await readSmallFile(path, { maxBytes: MAX_BYTES, followsLinks: true })
    return content.toString('utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Durably: after a crash there is the old text or the new one, whole. Two may write at once: a sequencer that has lost its turn may
 * not know it yet, and a draft that they shared could come into place half written. A link stays one: what it leads to is replaced.
 */
export async function writeCheckpointFile(named: string, text: string): Promise<void> {
  const path = await resolvePlace(named)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomUUID()}.draft`
  await writeNewFile(draft, text)
  try {
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

async function resolvePlace(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path
    throw error
  }
}

/** What processes left that were killed while they wrote. */
export async function removeLeftDrafts(named: string): Promise<void> {
  const path = await resolvePlace(named)
  const folder = dirname(path)
  const names = await readdir(folder).catch(() => [])
  for (const name of names.filter((name) => name.startsWith(`${basename(path)}.`) && name.endsWith('.draft'))) {
    const draft = await stat(join(folder, name)).catch(() => undefined)
    if (draft !== undefined && draft.mtimeMs < Date.now() - DRAFT_LEFT_AFTER_MS)
      await rm(join(folder, name), { force: true })
  }
}
