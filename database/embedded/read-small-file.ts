import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { EmbeddedPostgresError } from './error.ts'

/** Ids, paths, versions and passwords are shorter. */
const maxBytes = 64 << 10

/**
 * The text of a regular file in a folder that may belong to a less trusted account: never through a link, never more than 64
 * KiB, and without waiting, as a FIFO would make us. Throws `data_unreachable`, and what the system refuses.
 */
export async function readSmallFile(path: string): Promise<string> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const facts = await handle.stat()
    if (!facts.isFile() || facts.size > maxBytes) {
      throw new EmbeddedPostgresError('data_unreachable', `${path} is no small regular file. Restore the folder.`)
    }
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}
