import { chmod, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { findErrorCode } from './error.ts'

/** Where root puts what an unprivileged account must reach. */
export const systemFolder = '/var/lib/qflare'

/** A folder of root's that everyone may pass through and nobody may list, whatever the umask; an existing one stays. */
export async function makeSystemFolder(folder: string): Promise<void> {
  await mkdir(dirname(folder), { recursive: true })
  try {
    await mkdir(folder)
    await chmod(folder, 0o711)
  } catch (error) {
    if (findErrorCode(error) !== 'EEXIST') throw error
  }
}
