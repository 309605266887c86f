import { type FileHandle, link, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { QflareError } from '../errors.ts'
import { syncFolder } from '../file-store.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { lockFile } from './file-lock.ts'
import { cannotWrite } from './secret-file.ts'

const WRITE_AT_CHARS = 1 << 20

export interface ExportFileOptions {
  /** Over a file that is there. */
  force: boolean
}

/**
 * Writes the lines of an export to `<path>.partial`, which becomes `path` when the last line is on the disk; what an error leaves
 * is removed. One process at a time (`<path>.lock`). `onLine` is called for each. Exit code 4 for a file that is there or a disk
 * that does not take it; `bad_answer` for an export without its end.
 */
export async function writeExportFile(
  path: string,
  lines: AsyncIterable<string>,
  { force }: ExportFileOptions,
  onLine: (line: string) => void,
): Promise<{ lines: number }> {
  if (!force) await requireAbsent(path)
  const lock = await lockFile(`${path}.lock`).catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(`${path}.lock`, error)
  })
  if (lock === undefined) throw refused(`Another process writes ${path} at this moment.`)
  const partial = `${path}.partial`
  try {
    const count = await writeLines(partial, lines, onLine)
    // Without force no rename, which would write over what came to be there in between.
    await (force ? rename(partial, path) : link(partial, path)).catch((error: NodeJS.ErrnoException) => {
      throw cannotWrite(path, error)
    })
    await syncFolder(dirname(path))
    return { lines: count }
  } finally {
    await rm(partial, { force: true })
    await rm(`${path}.lock`, { force: true })
    lock.release()
  }
}

async function writeLines(path: string, lines: AsyncIterable<string>, onLine: (line: string) => void): Promise<number> {
  await using file = await open(path, 'w', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(path, error)
  })
  let count = 0
  let held = ''
  let last = ''
  for await (const line of lines) {
    onLine(line)
    last = line
    count += 1
    held += `${line}\n`
    if (held.length < WRITE_AT_CHARS) continue
    await write(path, file, held)
    held = ''
  }
  if (!last.startsWith('{"checkpoint":')) {
    throw new QflareError('bad_answer', `The export ended after ${count} lines, before its checkpoint. Try again.`)
  }
  await write(path, file, held)
  await file.sync().catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(path, error)
  })
  return count
}

async function write(path: string, file: FileHandle, text: string): Promise<void> {
  await file.writeFile(text).catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(path, error)
  })
}

async function requireAbsent(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found !== undefined) throw refused(`${path} exists already; --force writes over it.`)
}

function refused(message: string): CommandError {
  return new CommandError(exitCodes.localState, message)
}
