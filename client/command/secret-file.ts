import { open, rm, writeFile } from 'node:fs/promises'
import { CommandError, exitCodes } from './exit-codes.ts'
import { requireReader } from './stdout.ts'

/** A new file that only its owner can read; an existing one is not written over. Exit code 4. */
export async function writeSecretFile(path: string, secret: string | Uint8Array): Promise<void> {
  await writeFile(path, secret, { mode: 0o600, flag: 'wx', flush: true }).catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(path, error)
  })
}

/**
 * The same for a secret that somebody else makes: first the file, so that none is made that could not be kept. When `make`
 * throws, the file is gone again. Without a `path` the caller prints it (`printNewSecret`), and stdout is looked at first.
 */
export async function keepNewSecret<T extends { token: string }>(
  path: string | undefined,
  make: () => Promise<T>,
): Promise<T> {
  if (path === undefined) {
    requireReader()
    return make()
  }
  const file = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(path, error)
  })
  try {
    const made = await make()
    await file.writeFile(`${made.token}\n`)
    await file.sync()
    return made
  } catch (error) {
    await rm(path, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

export function cannotWrite(path: string, error: NodeJS.ErrnoException): CommandError {
  const reason = error.code === 'EEXIST' ? 'it exists already' : error.message
  return new CommandError(exitCodes.localState, `Cannot write ${path}: ${reason}.`)
}
