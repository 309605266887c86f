import { createHash } from 'node:crypto'
import { open, readFile, rename, rm, stat, truncate } from 'node:fs/promises'
import { toCsvLine } from './csv.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { cannotWrite } from './secret-file.ts'
import type { TokenFileFormat, TokenOrder } from './token-orders.ts'

/** A token that was made, with what was asked. */
export interface MadeToken extends TokenOrder {
  id: string
  token: string
  expiresAt: number
}

/**
 * Tokens on their way into a file. `<file>.partial`, mode 0600, takes batch after batch, each on the disk before the next is
 * asked for; its first line says what it is a part of. At the end the file itself appears at once, complete.
 */
export interface TokenFile {
  readonly partial: string
  /** How many an earlier run made. */
  readonly made: number
  append(tokens: readonly MadeToken[]): Promise<void>
  finish(format: TokenFileFormat): Promise<void>
}

/** What an earlier run left is gone on with only on `isContinued`. Exit code 4 when the file, or what does not fit, is there. */
export async function openTokenFile(
  path: string,
  orders: readonly TokenOrder[],
  isContinued: boolean,
): Promise<TokenFile> {
  const partial = `${path}.partial`
  if ((await stat(path).catch(() => undefined)) !== undefined) throw refused(`${path} exists already.`)
  const head = `${JSON.stringify({ tokens: orders.length, digest: digestOf(orders) })}\n`
  const made = isContinued ? await readPartial(partial, head) : await startPartial(partial, head)
  return {
    partial,
    made,
    append: (tokens) => appendLines(partial, tokens.map(toJsonLine).join('')),
    finish: (format) => finishFile(path, partial, format),
  }
}

async function startPartial(partial: string, head: string): Promise<number> {
  const file = await open(partial, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw cannotWrite(partial, error)
    throw refused(`${partial} has what an earlier run made, or makes at this moment: --continue goes on with it.`)
  })
  try {
    await file.writeFile(head)
    await file.sync()
  } finally {
    await file.close()
  }
  return 0
}

/** Gives the number of whole lines after the first; half of a line, from a crash in between, is cut off. */
async function readPartial(partial: string, head: string): Promise<number> {
  const text = await readFile(partial, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw refused(`There is nothing to continue at ${partial} (${error.code ?? error.message}).`)
  })
  if (!text.startsWith(head)) throw refused(`${partial} is a part of other tokens than those of --from.`)
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  await truncate(partial, Buffer.byteLength(whole))
  return whole.split('\n').length - 2
}

async function appendLines(partial: string, text: string): Promise<void> {
  const file = await open(partial, 'a')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function finishFile(path: string, partial: string, format: TokenFileFormat): Promise<void> {
  const lines = (await readFile(partial, 'utf8')).split('\n').slice(1, -1)
  const complete = `${path}.complete`
  await rm(complete, { force: true })
  const file = await open(complete, 'wx', 0o600)
  try {
    await file.writeFile(format === 'jsonl' ? `${lines.join('\n')}\n` : toCsv(lines))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(complete, path)
  await rm(partial)
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

function digestOf(orders: readonly TokenOrder[]): string {
  return createHash('sha256').update(JSON.stringify(orders)).digest('hex')
}

function refused(message: string): CommandError {
  return new CommandError(exitCodes.localState, message)
}
