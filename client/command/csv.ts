/** A field that is not the text between commas: RFC 4180. */
export class CsvError extends Error {
  readonly line: number

  constructor(line: number, message: string) {
    super(message)
    this.name = 'CsvError'
    this.line = line
  }
}

export interface CsvRow {
  /** Of its beginning in the file, from 1. */
  line: number
  fields: string[]
}

/** RFC 4180: fields between commas, or in double quotes, a quote inside written twice. Empty lines are left out. */
export function parseCsv(text: string): CsvRow[] {
  const rows: CsvRow[] = []
  // One field and what ends it: a comma, the end of a line, or of the file.
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y
  let row: CsvRow = { line: 1, fields: [] }
  let line = 1
  const start = text.startsWith('\ufeff') ? 1 : 0
  field.lastIndex = start
  while (field.lastIndex < text.length || row.fields.length > 0) {
    const match = field.exec(text)
    if (match === null) throw new CsvError(line, 'is not CSV: a double quote stands where it may not.')
    const [, quoted, plain = '', end = ''] = match
    row.fields.push(quoted?.replaceAll('""', '"') ?? plain)
    line += match[0].split('\n').length - 1
    if (end === ',') continue
    if (row.fields.length > 1 || row.fields[0] !== '') rows.push(row)
    row = { line, fields: [] }
    if (end === '') break
  }
  return rows
}

export function toCsvLine(fields: readonly string[]): string {
  return fields.map((field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(',')
}
