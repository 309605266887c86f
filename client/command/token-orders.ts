import { deviceCapabilities, deviceLabel } from '../../protocol/device-labels.ts'
import { displayName, type PrincipalKind, principalKinds } from '../../protocol/enrollment.ts'
import type { EnrollmentTokenRequest } from '../operator.ts'
import { CsvError, parseCsv } from './csv.ts'
import { type CommandError, usageError } from './exit-codes.ts'

/** One line of a file of tokens to make: text as it stands there, attacker-controlled until `toOrder` has seen it. */
interface Line {
  line: number
  members: Record<string, unknown>
}

export type TokenOrder = Omit<EnrollmentTokenRequest, 'ttlSeconds' | 'policyId'>

const known = ['name', 'type', 'capabilities', 'kind'] as const

export type TokenFileFormat = 'csv' | 'jsonl'

/** By the end of its name. Exit code 2. */
export function formatOf(path: string, flag: string): TokenFileFormat {
  if (/\.csv$/i.test(path)) return 'csv'
  if (/\.jsonl$/i.test(path)) return 'jsonl'
  throw usageError(`${flag} ends in .csv or .jsonl, which says how it is written.`)
}

/**
 * The tokens that a file asks for, all of them checked: a mistake is found before the first is made. Errors name the line.
 * Exit code 2.
 */
export function parseTokenOrders(path: string, text: string, kind: PrincipalKind): TokenOrder[] {
  const lines = formatOf(path, '--from') === 'csv' ? readCsvLines(path, text) : readJsonLines(path, text)
  if (lines.length === 0) throw usageError(`${path} asks for no tokens.`)
  const lineOfName = new Map<string, number>()
  return lines.map(({ line, members }) => {
    const order = toOrder(members, kind, (what) => atLine(path, line, what))
    const { name } = order
    const earlier = name === undefined ? undefined : lineOfName.get(name)
    if (earlier !== undefined) throw atLine(path, line, `has the name of line ${earlier}.`)
    if (name !== undefined) lineOfName.set(name, line)
    return order
  })
}

function atLine(path: string, line: number, what: string): CommandError {
  return usageError(`${path}, line ${line} ${what}`)
}

function readCsvLines(path: string, text: string): Line[] {
  const [header, ...rows] = readCsv(path, text)
  const columns = header?.fields.map((field) => field.trim().toLowerCase()) ?? []
  const isHeader = columns.every((column) => known.some((name) => name === column))
  if (!isHeader || columns.length === 0 || new Set(columns).size !== columns.length) {
    throw atLine(path, 1, `names the columns: some of ${known.join(', ')}, each once.`)
  }
  return rows.map(({ line, fields }) => {
    if (fields.length !== columns.length) {
      throw atLine(path, line, `has ${fields.length} fields, the header has ${columns.length}.`)
    }
    const members = columns.map((column, index) => [column, fields[index]?.trim() ?? ''] as const)
    return { line, members: Object.fromEntries(members.filter(([, field]) => field !== '')) }
  })
}

function readCsv(path: string, text: string) {
  try {
    return parseCsv(text)
  } catch (error) {
    throw error instanceof CsvError ? atLine(path, error.line, error.message) : error
  }
}

function readJsonLines(path: string, text: string): Line[] {
  return text
    .split('\n')
    .map((content, index) => ({ content, line: index + 1 }))
    .filter(({ content }) => content.trim() !== '')
    .map(({ content, line }) => ({
      line,
      members: parseObject(content, () => atLine(path, line, 'is no JSON object.')),
    }))
}

function parseObject(text: string, refuse: () => CommandError): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) throw refuse()
    throw error
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse()
  return value as Record<string, unknown>
}

function toOrder(
  members: Record<string, unknown>,
  defaultKind: PrincipalKind,
  refuse: (what: string) => CommandError,
): TokenOrder {
  const stranger = Object.keys(members).find((member) => !known.some((name) => name === member))
  if (stranger !== undefined) throw refuse(`has more than ${known.join(', ')}.`)
  const { name, type, capabilities: written, kind = defaultKind } = members
  // In CSV the list is one field.
  const capabilities = typeof written === 'string' ? written.split(/[;\s]+/).filter((label) => label !== '') : written
  const foundKind = principalKinds.find((one) => one === kind)
  if (foundKind === undefined) throw refuse(`has a kind that is none of ${principalKinds.join(', ')}.`)
  if (name !== undefined && !displayName.safeParse(name).success) {
    throw refuse('has a name that is not 1 to 128 characters without control characters, at least one that shows.')
  }
  if (type !== undefined && !deviceLabel.safeParse(type).success) {
    throw refuse('has a type that is not 1 to 64 of a-z, 0-9, ".", "_" and "-".')
  }
  const labels = capabilities === undefined ? undefined : deviceCapabilities.safeParse(capabilities)
  if (labels?.success === false) {
    throw refuse('has capabilities that are not at most 32 different labels of 1 to 64 of a-z, 0-9, ".", "_" and "-".')
  }
  return {
    kind: foundKind,
    name: name as string | undefined,
    type: type as string | undefined,
    capabilities: labels?.data,
  }
}
