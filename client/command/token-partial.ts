import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { syncFolder } from '../file-store.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { cannotWrite } from './secret-file.ts'

/** Open for all of a run, of mode 0600: whatever happens to its name, what is written goes into one file. */
export interface PartialFile {
  readonly path: string
  /** Lines of an earlier run. */
  readonly made: number
  /** Whole lines, which are on the disk when this resolves. Exit code 4 when the disk does not take them. */
  append(lines: string): Promise<void>
  /** The lines behind the head. Exit code 4 unless they are as many as it says. */
  readAll(): Promise<string[]>
  close(): Promise<void>
}

interface Contents {
  /** The first line, without its end: what the lines are a part of. */
  head: string
  /** How many lines it becomes. */
  tokens: number
  isContinued: boolean
}

/** Follows no link, and waits for no FIFO. */
const EXISTING = constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Exit code 4 when lines are there and `isContinued` is not set, or when they are of another head. */
export async function openPartial(path: string, contents: Contents): Promise<PartialFile> {
  const file = await openOrCreate(path)
  try {
    const made = await prepare(path, file, contents)
    return {
      path,
      made,
      append: (lines) => append(path, file, lines),
      readAll: () => readAll(path, file, contents),
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Reads anywhere, writes at the end. */
async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, EXISTING).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return open(path, 'ax+', 0o600)
      throw error
    })
    await requireOurs(path, file)
    return file
  } catch (error) {
    throw error instanceof CommandError ? error : cannotWrite(path, error as NodeJS.ErrnoException)
  }
}

/** Of a file that somebody else can read or put there, the tokens would be his. */
async function requireOurs(path: string, file: FileHandle): Promise<void> {
  const facts = await file.stat()
  const { mode, uid, nlink } = facts
  const isPrivate = uid === (process.geteuid?.() ?? uid) && (mode & 0o077) === 0
  if (facts.isFile() && nlink === 1 && isPrivate) return
  await file.close()
  throw refused(`${path} is not as an earlier run made it: a file of this user, of mode 0600, with one name.`)
}

/** Gives the number of whole lines behind the head; half of a line, from a crash in between, is cut off. */
async function prepare(path: string, file: FileHandle, { head, tokens, isContinued }: Contents): Promise<number> {
  const found = await read(file)
  const firstLine = `${head}\n`
  // Of a run that ended before its first token: new.
  if (firstLine.startsWith(found)) {
    await file.truncate()
    await append(path, file, firstLine)
    await syncFolder(dirname(path))
    return 0
  }
  if (!isContinued) throw refused(`${path} has what an earlier run made: --continue goes on with it.`)
  if (!found.startsWith(firstLine)) throw refused(`${path} is a part of other tokens than those of --from.`)
  const whole = found.slice(0, found.lastIndexOf('\n') + 1)
  const made = toLines(whole).length - 1
  if (made > tokens) throw refused(`${path} has ${made} tokens, more than the ${tokens} of --from.`)
  await file.truncate(Buffer.byteLength(whole))
  return made
}

async function append(path: string, file: FileHandle, lines: string): Promise<void> {
  try {
    await file.writeFile(lines)
    await file.sync()
  } catch (error) {
    throw cannotWrite(path, error as NodeJS.ErrnoException)
  }
}

async function readAll(path: string, file: FileHandle, { head, tokens }: Contents): Promise<string[]> {
  const [first, ...lines] = toLines(await read(file))
  if (first === head && lines.length === tokens) return lines
  throw refused(`${path} has ${lines.length} tokens and should have ${tokens}: something else wrote to it.`)
}

function read(file: FileHandle): Promise<string> {
  return text(file.createReadStream({ start: 0, autoClose: false }))
}

/** Each of them with its end in `content`. */
function toLines(content: string): string[] {
  return content.split('\n').slice(0, -1)
}

function refused(message: string): CommandError {
  return new CommandError(exitCodes.localState, message)
}
