import { writeFile } from 'node:fs/promises'
import { CommandError, exitCodes } from './exit-codes.ts'

/** For programs the whole value as one JSON object, for people `text`. */
export function printResult(json: boolean | undefined, value: unknown, text: string): void {
  console.log(json === true ? JSON.stringify(value, null, 2) : text)
}

/** Names and values under each other. */
export function toList(rows: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${printable(String(value))}`).join('\n')
}

export function toTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows.map((row) => row.map(printable))]
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Text from elsewhere without what would steer a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�')
}

/** `2026-11-22T06:40:12Z (in 58 min)` */
export function formatTime(at: number, now: number): string {
  const minutes = Math.round((at - now) / 60_000)
  const distance = Math.abs(minutes) < 120 ? `${Math.abs(minutes)} min` : `${Math.round(Math.abs(minutes) / 60)} h`
  const text = `${new Date(at).toISOString().slice(0, 19)}Z`
  if (minutes === 0) return `${text} (now)`
  return minutes < 0 ? `${text} (${distance} ago)` : `${text} (in ${distance})`
}

/** A new file that only its owner can read; an existing one is not written over. Exit code 4. */
export async function writeSecretFile(path: string, secret: string | Uint8Array): Promise<void> {
  await writeFile(path, secret, { mode: 0o600, flag: 'wx', flush: true }).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'EEXIST' ? 'it exists already' : error.message
    throw new CommandError(exitCodes.localState, `Cannot write ${path}: ${reason}.`)
  })
}
