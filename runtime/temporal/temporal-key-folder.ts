import { createHash } from 'node:crypto'
import { lstat, mkdir, readdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'

const MEMORY_FILE_SYSTEM = '/dev/shm'

/** Both places where a start may keep them. `uid` is that of the service's user. Changes nothing. */
export async function temporalKeyFolders(
  dataDirectory: string,
  uid = process.getuid?.() ?? 0,
): Promise<{ memory: string; disk: string }> {
  const name = createHash('sha256')
    .update(await realpath(dataDirectory))
    .digest('hex')
    .slice(0, 16)
  return { memory: join(MEMORY_FILE_SYSTEM, `qflare-${uid}-${name}`), disk: join(dataDirectory, 'temporal-keys') }
}

/**
 * Where the embedded mode keeps temporal keys: on the memory file system where there is one that this user can have a
 * folder of his own in, else in the data folder. A restart of the machine loses the first, and sessions end.
 */
export async function temporalKeyFolder(dataDirectory: string): Promise<string> {
  const { memory: folder, disk } = await temporalKeyFolders(dataDirectory)
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    if (await isOwn(folder)) return folder
  } catch {
    // no such file system, or not for us
  }
  return disk
}

/**
 * What lies in both places, by path: the keys of one root of trust each. More than one is of an earlier data folder of the same
 * path, or of the time before there was a memory file system; no database knows them.
 */
export async function listTemporalHomes(dataDirectory: string, uid = process.getuid?.() ?? 0): Promise<string[]> {
  const homes: string[] = []
  for (const folder of Object.values(await temporalKeyFolders(dataDirectory, uid))) {
    if (!(await isOwn(folder, uid))) continue
    homes.push(...(await readdir(folder)).map((name) => join(folder, name)))
  }
  return homes
}

/** Anybody may make folders on the memory file system: one that somebody else made, or opened to others, is not used. */
async function isOwn(folder: string, owner = process.getuid?.()): Promise<boolean> {
  const facts = await lstat(folder).catch(() => undefined)
  return facts?.isDirectory() === true && facts.uid === owner && (facts.mode & 0o077) === 0
}
