import { fstatSync, statSync, writeFileSync } from 'node:fs'
import { devNull } from 'node:os'
import { CommandError, exitCodes } from './exit-codes.ts'

/**
 * Prints text and the end of its line. Exit code 4 when it cannot be written; a reader that has read enough is no error:
 * `qflare device list | head`.
 */
export async function printLine(text: string): Promise<void> {
  await printToReader(text)
}

/** The same for a command that goes on: whether there still is a reader. */
export async function printToReader(text: string): Promise<boolean> {
  try {
    await writeOut(`${text}\n`)
    return true
  } catch (error) {
    if (codeOf(error) === 'EPIPE') return false
    throw cannotPrint(error, 'What the command was to do is done.')
  }
}

/** The same for what is shown this once: a reader that is gone is an error too. `rescue` says what to do then. */
export async function printOnce(text: string, rescue: string): Promise<void> {
  try {
    await writeOut(`${text}\n`)
  } catch (error) {
    throw cannotPrint(error, rescue)
  }
}

/** Before a secret is made that stdout alone would hold. Node puts the null device in the place of a closed stdout. */
export function requireReader(): void {
  const out = fstatSync(process.stdout.fd)
  if (!out.isCharacterDevice() || out.rdev !== statSync(devNull).rdev) return
  throw new CommandError(
    exitCodes.localState,
    'stdout is closed, or nobody reads it: what is shown this once would be lost. --out FILE keeps it.',
    'stdout_unusable',
  )
}

/** All of it, or this throws what the system said. */
function writeOut(text: string): Promise<void> {
  const { stdout } = process
  return new Promise((resolve, reject) => {
    // The stream of a file takes a write that the disk cut short for a whole one.
    if (fstatSync(stdout.fd).isFile()) {
      writeFileSync(stdout.fd, text)
      return resolve()
    }
    stdout.once('error', reject)
    stdout.write(text, (error) => {
      // The event comes after this, and without a listener would end the process.
      if (error) return reject(error)
      stdout.off('error', reject)
      resolve()
    })
  })
}

function cannotPrint(error: unknown, then: string): CommandError {
  const reason = codeOf(error) ?? String(error)
  return new CommandError(exitCodes.localState, `stdout cannot be written (${reason}). ${then}`, 'stdout_unusable')
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}
