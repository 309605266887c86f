import { createHash } from 'node:crypto'
import { link, lstat, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../file-store.ts'
import { toCsvLine } from './csv.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { lockFile } from './file-lock.ts'
import { cannotWrite } from './secret-file.ts'
import type { TokenFileFormat, TokenOrder } from './token-orders.ts'
import { openPartial, type PartialFile } from './token-partial.ts'

/** A token that was made, with what was asked. */
export interface MadeToken extends TokenOrder {
  id: string
  token: string
  expiresAt: number
}

/**
 * Tokens on their way into a file, by one process at a time (`<file>.lock`). `<file>.partial` takes batch after batch, each on
 * the disk before the next is asked for. At the end the file itself appears at once, complete, over nothing that is there.
 */
export interface TokenFile extends AsyncDisposable {
  readonly partial: string
  /** How many an earlier run made. */
  readonly made: number
  /** Exit code 4 when the disk does not take them. */
  append(tokens: readonly MadeToken[]): Promise<void>
  /** Exit code 4 when these are not all tokens and nothing else, or the file is there by now. */
  finish(format: TokenFileFormat): Promise<void>
}

/** What an earlier run left is gone on with only on `isContinued`. Exit code 4 when the file, or what does not fit, is there. */
export async function openTokenFile(
  path: string,
  orders: readonly TokenOrder[],
  isContinued: boolean,
): Promise<TokenFile> {
  const partialPath = `${path}.partial`
  // Before the lock: a run that can do nothing leaves no lock file.
  await requireAbsent(path)
  if (isContinued && !(await isThere(partialPath))) throw refused(`There is nothing to continue at ${partialPath}.`)
  const lock = await lockFile(`${path}.lock`).catch((error: NodeJS.ErrnoException) => {
    throw cannotWrite(`${path}.lock`, error)
  })
  if (lock === undefined) throw refused(`Another process makes ${path} at this moment.`)
  try {
    // Again: whoever had the lock may be done.
    await requireAbsent(path)
    const partial = await openPartial(partialPath, { head: headOf(orders), tokens: orders.length, isContinued })
    return {
      partial: partialPath,
      made: partial.made,
      append: (tokens) => partial.append(tokens.map(toJsonLine).join('')),
      finish: (format) => finishFile(path, partial, format),
      async [Symbol.asyncDispose]() {
        await partial.close()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

async function finishFile(path: string, partial: PartialFile, format: TokenFileFormat): Promise<void> {
  const lines = await partial.readAll()
  const complete = `${path}.complete`
  await writeNew(complete, format === 'jsonl' ? `${lines.join('\n')}\n` : toCsv(lines)).catch((error: unknown) => {
    throw notFinished(complete, partial, error)
  })
  try {
    // Not a rename, which would write over what came to be there in between.
    await link(complete, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(complete, { force: true })
    throw notFinished(path, partial, error)
  }
  // The lock file last, and while it is locked: whoever locks it now finds the file there.
  for (const left of [complete, partial.path, `${path}.lock`]) await rm(left, { force: true })
}

function notFinished(path: string, partial: PartialFile, error: unknown): CommandError {
  const { message } = cannotWrite(path, error as NodeJS.ErrnoException)
  return refused(`${message} All tokens are in ${partial.path}: --continue tries again.`)
}

/** What is there already is not ours to remove. */
async function writeNew(path: string, content: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } catch (error) {
    await rm(path, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

async function requireAbsent(path: string): Promise<void> {
  if (await isThere(path)) throw refused(`${path} exists already.`)
}

/** A link that leads nowhere is there too. */
async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}

function toJsonLine({ name, kind, type, capabilities, id, token, expiresAt }: MadeToken): string {
  return `${JSON.stringify({ name, kind, type, capabilities, id, token, expiresAt })}\n`
}

function toCsv(lines: readonly string[]): string {
  const rows = lines.map((line) => {
    const { name = '', kind, type = '', capabilities = [], id, token, expiresAt } = JSON.parse(line) as MadeToken
    return toCsvLine([name, kind, type, capabilities.join(';'), id, token, new Date(expiresAt).toISOString()])
  })
  return `${['name,kind,type,capabilities,id,token,expiresAt', ...rows].join('\n')}\n`
}

/** Of what the file of `--from` asks for. */
function headOf(orders: readonly TokenOrder[]): string {
  const digest = createHash('sha256').update(JSON.stringify(orders)).digest('hex')
  return JSON.stringify({ tokens: orders.length, digest })
}

function refused(message: string): CommandError {
  return new CommandError(exitCodes.localState, message)
}
