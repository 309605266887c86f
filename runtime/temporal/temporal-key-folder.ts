import { createHash } from 'node:crypto'
import { mkdir, realpath, stat } from 'node:fs/promises'
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
    const { uid, mode } = await stat(folder)
    // Anybody may make folders there: one that somebody else made, or opened to others, is not used.
    if (uid === process.getuid?.() && (mode & 0o077) === 0) return folder
  } catch {
    // no such file system, or not for us
  }
  return disk
}
