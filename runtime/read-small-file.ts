import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileRights } from './private-file.ts'

/** It is there, but nothing that is read. The message says why. */
export class FileError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'FileError'
  }
}

/**
 * A regular file of at most `maxBytes`, with the rights that it had when it was read. It waits for nobody, as a FIFO would
 * make it, and reads without end nothing. `followsLinks`: only where the operator named the path. Throws FileError, and what
 * the system refuses.
 */
export async function readSmallFile(
  path: string,
  { maxBytes, followsLinks = false }: { maxBytes: number; followsLinks?: boolean },
): Promise<FileRights & { content: Buffer }> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (followsLinks ? 0 : constants.O_NOFOLLOW)
  const file = await open(path, flags)
  try {
    const facts = await file.stat()
    if (!facts.isFile()) throw new FileError(`${path} is no regular file.`)
    const buffer = Buffer.alloc(maxBytes + 1)
    let length = 0
    for (let more = true; more && length < buffer.length; ) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length)
      length += bytesRead
      more = bytesRead > 0
    }
    if (length > maxBytes) throw new FileError(`${path} is larger than ${maxBytes} bytes.`)
    return { content: buffer.subarray(0, length), permissions: facts.mode & 0o777, ownerId: facts.uid }
  } finally {
    await file.close()
  }
}
