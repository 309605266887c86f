import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { CommandError, exitCodes } from './exit-codes.ts'

/**
 * To be read. A FIFO or a device, which could make the command wait or read for ever, is refused: links are followed, as somebody
 * named the path or the folder. Exit code 4.
 */
export async function openRegularFile(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw cannotRead(path, error)
  })
  try {
    const facts = await file.stat()
    if (facts.isFile()) return file
    throw unusable(`${path} is ${facts.isDirectory() ? 'a folder: name a file' : 'no regular file'}.`)
  } catch (error) {
    await file.close()
    throw cannotRead(path, error)
  }
}

/** Never more than `maxBytes` + 1 of it are read, whatever size it says it has. Exit code 4. */
export async function readRegularFile(path: string, maxBytes: number): Promise<Buffer> {
  await using file = await openRegularFile(path)
  const buffer = Buffer.alloc(maxBytes + 1)
  let length = 0
  try {
    for (let more = true; more && length < buffer.length; ) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length)
      length += bytesRead
      more = bytesRead > 0
    }
  } catch (error) {
    throw cannotRead(path, error)
  }
  if (length > maxBytes) throw unusable(`${path} is larger than ${maxBytes} bytes.`)
  return buffer.subarray(0, length)
}

export function cannotRead(what: string, error: unknown): CommandError {
  if (error instanceof CommandError) return error
  const reason = error instanceof Error && 'code' in error ? error.code : error
  return unusable(`Cannot read ${what} (${String(reason)}).`)
}

export function unusable(message: string): CommandError {
  return new CommandError(exitCodes.localState, message)
}
