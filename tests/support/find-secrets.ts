import type { Client } from 'pg'

/** Something that must not be found: bytes in any encoding, text as it is. */
export interface Secret {
  what: string
  value: Uint8Array | string
}

/** So many bytes of a secret in a row, wherever in it and at whatever place of an encoding, are found; 16 characters of base64. */
const PIECE_BYTES = 12
/** Of a long secret, its beginning is enough. */
const SEARCHED_BYTES = 96

/**
 * What of the secrets stands in a text: their bytes as they are, in hexadecimal, base64, base64url or as a list of numbers, and
 * texts in any case. JSON in the text is read too, so that no escape hides anything.
 */
export function createSecretSearch(secrets: readonly Secret[]): (text: string) => string[] {
  const pieces = secrets.flatMap(({ what, value }) => piecesOf(value).map((piece) => ({ what, piece })))
  const needles = (form: string, encode: (piece: Buffer) => string) =>
    new Map(pieces.map(({ what, piece }) => [encode(piece), `${what} (${form})`]))
  const raw = needles('raw', (piece) => piece.toString('latin1'))
  const hex = needles('hex', (piece) => piece.toString('hex'))
  const base64url = needles('base64', (piece) => piece.toString('base64url'))
  const listed = needles('numbers', (piece) => piece.join(','))
  const texts = secrets.flatMap(({ what, value }) => (typeof value === 'string' ? [[value.toLowerCase(), what]] : []))

  return (text) => {
    const views = [text, ...stringsOf(parseJson(text))].join('\n')
    const lower = views.toLowerCase()
    const lists = [...views.matchAll(/\d+(?:\s*,\s*\d+)+/g)].map(([list]) => list.split(/\s*,\s*/))
    return [
      ...found(raw, windowsOf(views, PIECE_BYTES)),
      ...found(hex, windowsOf(lower, PIECE_BYTES * 2)),
      ...found(base64url, windowsOf(views.replaceAll('+', '-').replaceAll('/', '_'), PIECE_BYTES * (4 / 3))),
      ...lists.flatMap((list) =>
        found(
          listed,
          list.map((_, at) => list.slice(at, at + PIECE_BYTES).join(',')),
        ),
      ),
      ...texts.filter(([value = '']) => lower.includes(value)).map(([, what]) => `${what} (text)`),
    ]
  }
}

/** Every row of the log, wherever it stands by now, with all its columns. */
export async function readWholeLog(sql: Client): Promise<string[]> {
  const rows: string[] = []
  for (const table of ['audit_outbox', 'audit_entry']) {
    const found = await sql.query<{ is_there: boolean }>('select to_regclass($1) is not null as is_there', [table])
    if (found.rows[0]?.is_there !== true) continue
    const { rows: read } = await sql.query<Record<string, unknown>>(`select * from ${table}`)
    rows.push(...read.flatMap((row) => Object.values(row).map(toText)))
  }
  return rows
}

function toText(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}

function piecesOf(value: Uint8Array | string): Buffer[] {
  const bytes = Buffer.from(value).subarray(0, SEARCHED_BYTES)
  const count = Math.max(0, bytes.length - PIECE_BYTES + 1)
  return Array.from({ length: count }, (_, at) => bytes.subarray(at, at + PIECE_BYTES))
}

function* windowsOf(text: string, length: number): Generator<string> {
  for (let at = 0; at + length <= text.length; at++) yield text.slice(at, at + length)
}

function found(needles: ReadonlyMap<string, string>, windows: Iterable<string>): string[] {
  const whats = new Set<string>()
  for (const window of windows) {
    const what = needles.get(window)
    if (what !== undefined) whats.add(what)
  }
  return [...whats]
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function stringsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => [name, ...stringsOf(inner)])
}
