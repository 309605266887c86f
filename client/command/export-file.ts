import { rmSync } from 'node:fs'
import { type FileHandle, link, lstat, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ProtocolError } from '../../protocol/errors.ts'
import { QflareError } from '../errors.ts'
import { syncFolder } from '../file-store.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { cannotWrite } from './secret-file.ts'

const WRITE_AT_CHARS = 1 << 20
const EXPORT_ENDS = '{"checkpoint":'

export interface ExportFileOptions {
  /** Over a file that is there. */
  force: boolean
}

export interface WrittenExport {
  lines: number
  /** What was wrong with the line behind the last that is in the file: a bad export is kept, as evidence. */
  problem: ProtocolError | undefined
}

/**
 * Writes the lines of an export to `<path>.partial`, which becomes `path` when the last line is on the disk; what an error or a
 * Ctrl-C leaves is removed. A partial file that is there already is nobody's to write over: it may be another process's, or no
 * export at all. `onLine` is called for each line. Exit code 4 for a file that is there or a disk that does not take it;
 * `bad_answer` for an export without its end.
 */
export async function writeExportFile(
  path: string,
  lines: AsyncIterable<string>,
  { force }: ExportFileOptions,
  onLine: (line: string) => void,
): Promise<WrittenExport> {
  if (!force) await requireAbsent(path)
  const partial = `${path}.partial`
  const file = await openNew(partial)
  const forget = removeOnSignal(partial)
  try {
    const written = await writeLines(partial, file, lines, onLine)
    // Without force no rename, which would write over what came to be there in between.
    await (force ? rename(partial, path) : link(partial, path)).catch((error: NodeJS.ErrnoException) => {
      throw cannotWrite(path, error)
    })
    await syncFolder(dirname(path))
    return written
  } finally {
    forget()
    await file.close()
    await rm(partial, { force: true })
  }
}

/** Follows no link, whatever it leads to. */
function openNew(partial: string): Promise<FileHandle> {
  return open(partial, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw cannotWrite(partial, error)
    throw refused(
      `${partial} is there already: of another process at work, or of one that was killed. Look, and remove it.`,
    )
  })
}

/** The file would stand in the way of the next run. */
function removeOnSignal(partial: string): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const forget = () => {
    for (const signal of signals) process.off(signal, end)
  }
  function end(signal: NodeJS.Signals): void {
    forget()
    rmSync(partial, { force: true })
    process.kill(process.pid, signal)
  }
  for (const signal of signals) process.on(signal, end)
  return forget
}

async function writeLines(
  path: string,
  file: FileHandle,
  lines: AsyncIterable<string>,
  onLine: (line: string) => void,
): Promise<WrittenExport> {
  let count = 0
  let held = ''
  let last = ''
  let problem: ProtocolError | undefined
  try {
    for await (const line of lines) {
      onLine(line)
      last = line
      count += 1
      held += `${line}\n`
      if (held.length < WRITE_AT_CHARS) continue
      await write(path, file, held)
      held = ''
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    problem = error
  }
  if (problem === undefined && !last.startsWith(EXPORT_ENDS)) {
    throw new QflareError('bad_answer', `The export ended after ${count} lines, before its checkpoint. Try again.`)
  }
  await write(path, file, held)
  await file.sync().catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(path, error)
  })
  return { lines: count, problem }
}

async function write(path: string, file: FileHandle, text: string): Promise<void> {
  await file.writeFile(text).catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(path, error)
  })
}

/** A link that leads nowhere is there too. */
async function requireAbsent(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found !== undefined) throw refused(`${path} exists already; --force writes over it.`)
}

function refused(message: string): CommandError {
  return new CommandError(exitCodes.localState, message)
}
