import { cutToWidth, displayWidth, padToWidth } from './display-width.ts'
import { printLine, printOnce } from './stdout.ts'
import { bold, screenWidth } from './terminal.ts'

/** For programs the whole value as one JSON object, for people `text`. Exit code 4 when stdout cannot be written. */
export function printResult(json: boolean | undefined, value: unknown, text: string): Promise<void> {
  return printLine(json === true ? toJson(value, 2) : text)
}

/** The same for a secret that is shown this once: `revocation` is the command that ends it when it could not be printed. */
export function printNewSecret(
  json: boolean | undefined,
  value: unknown,
  secret: string,
  revocation: string,
): Promise<void> {
  const rescue = `The token is made, and nobody holds it. This ends it: ${revocation}`
  return printOnce(json === true ? toJson(value, 2) : secret, rescue)
}

/** JSON that does not steer a terminal either: control and format characters are written as \uXXXX. */
export function toJson(value: unknown, indent?: number): string {
  // JSON.stringify does so with those below U+0020; what is left of them is its own line breaks.
  return JSON.stringify(value, null, indent).replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}

/** Names and values under each other. */
export function toList(rows: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${printable(String(value))}`).join('\n')
}

/** The first column holds ids: on a screen that is too narrow the others are cut, the widest first, and it never is. */
export function toTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows.map((row) => row.map(printable))]
  const wanted = header.map((_, column) => Math.max(...lines.map((line) => displayWidth(line[column] ?? ''))))
  const widths = fitColumns(wanted, screenWidth())
  const [title = '', ...texts] = lines.map((line) =>
    line
      .map((cell, column) => padToWidth(cutToWidth(cell, widths[column] ?? 0), widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return [bold(title), ...texts].join('\n')
}

const NARROWEST = 6

function fitColumns(wanted: readonly number[], screen: number | undefined): number[] {
  const widths = [...wanted]
  if (screen === undefined) return widths
  const total = () => widths.reduce((sum, width) => sum + width + 2, -2)
  while (total() > screen) {
    const widest = widths.reduce(
      (best, width, column) => (column > 0 && width > (widths[best] ?? 0) ? column : best),
      1,
    )
    const width = widths[widest]
    if (width === undefined || width <= NARROWEST) break
    widths[widest] = width - 1
  }
  return widths
}

/** Text from elsewhere without what would steer a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�')
}

/** `2026-11-22T06:40:12Z (in 58 min)` */
export function formatTime(at: number, now: number): string {
  return `${toIsoTime(at)} (${formatDistance(at, now)})`
}

/** `in 58 min`, `3 d ago` or `now`. */
export function formatDistance(at: number, now: number): string {
  const minutes = Math.round((at - now) / 60_000)
  if (minutes === 0) return 'now'
  const distance = formatMinutes(Math.abs(minutes))
  return minutes < 0 ? `${distance} ago` : `in ${distance}`
}

/** The end of the year 9999. */
const MAX_TIME = 253_402_300_799_999

/** `2026-11-22T06:40:12Z`. Whatever was signed as a time is shown, if it is none of any calendar. */
export function toIsoTime(at: number): string {
  return at > MAX_TIME ? `${at} ms after 1970` : `${new Date(at).toISOString().slice(0, 19)}Z`
}

/** `90 min`, `3 h` or `4 d`. */
export function formatMinutes(minutes: number): string {
  if (minutes < 120) return `${minutes} min`
  const hours = Math.round(minutes / 60)
  return hours < 72 ? `${hours} h` : `${Math.round(hours / 24)} d`
}
