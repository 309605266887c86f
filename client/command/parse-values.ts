import { parsePolicyId } from '../../protocol/attestation/policy-id.ts'
import { deviceCapabilities, deviceLabel } from '../../protocol/device-labels.ts'
import { isUuid } from '../../protocol/encoding.ts'
import { displayName } from '../../protocol/enrollment.ts'
import { usageError } from './exit-codes.ts'

const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400 } as const

/** `3600`, `90m`, `12h`, `30d`: in seconds; undefined when it is none of these. The server knows the limits. */
export function parseDuration(text: string): number | undefined {
  const [, digits = '', unit = 's'] = /^(\d{1,9})([smhd]?)$/i.exec(text) ?? []
  const seconds = Number(digits) * unitSeconds[(unit.toLowerCase() || 's') as keyof typeof unitSeconds]
  return digits === '' || seconds === 0 ? undefined : seconds
}

/** A time to live: how the flag of it parses and what its error says. */
export const durationFlag = {
  type: 'string',
  value: 'TIME',
  parse: parseDuration,
  expects: 'a time such as 3600 (seconds), 90m, 12h or 30d',
} as const

/** A whole number of at least 1. */
export function parseCount(text: string): number | undefined {
  return /^[1-9]\d{0,6}$/.test(text) ? Number(text) : undefined
}

/** `a,b`: without blanks around, without empty ones. */
export function parseList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** `2026-11-22`, `2026-11-22T06:40:00Z`, or `12h`: so long ago. In milliseconds since the Unix epoch. */
export function parsePointInTime(text: string): number | undefined {
  const secondsAgo = /[smhd]$/i.test(text) ? parseDuration(text) : undefined
  if (secondsAgo !== undefined) return Date.now() - secondsAgo * 1000
  if (!/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/i.test(text)) return undefined
  const at = Date.parse(text)
  return Number.isNaN(at) || at < 0 ? undefined : at
}

export const pointInTimeFlag = {
  type: 'string',
  value: 'TIME',
  parse: parsePointInTime,
  expects: 'a time such as 2026-11-22, 2026-11-22T06:40:00Z, or 12h and 30d for so long ago',
} as const

export const labelFlag = {
  type: 'string',
  value: 'LABEL',
  parse: parseLabel,
  expects: '1 to 64 of a-z, 0-9, ".", "_" and "-"',
} as const

export function parseLabel(text: string): string | undefined {
  return deviceLabel.safeParse(text).data
}

export const labelsFlag = {
  type: 'string',
  value: 'A,B',
  parse: (text: string) => deviceCapabilities.safeParse(parseList(text)).data,
  expects: 'at most 32 different labels between commas, each 1 to 64 of a-z, 0-9, ".", "_" and "-"',
} as const

export const policyFlag = {
  type: 'string',
  value: 'POLICY',
  parse: (text: string) => (parsePolicyId(text) === undefined ? undefined : text),
  expects: 'a policy, as NAME for its newest version or as NAME@VERSION',
} as const

export const nameFlag = {
  type: 'string',
  value: 'NAME',
  parse: parseName,
  expects: '1 to 128 characters: no control or format characters, and at least one that shows',
} as const

export function parseName(text: string): string | undefined {
  return displayName.safeParse(text).data
}

export const idFlag = {
  type: 'string',
  value: 'ID',
  parse: (text: string) => (isUuid(text) ? text : undefined),
} as const

/** An argument that is an id, and `name` in the help. Exit code 2. */
export function parseIdArgument(text: string | undefined, what: string, name = 'ID'): string {
  if (text === undefined || !isUuid(text)) throw usageError(`${name} is the id of ${what}.`)
  return text
}

/** What ID is, for the error of a wrong one. */
export const federationIdName = 'a federation, as qflare federation list shows it'

/** The arguments FEDERATION and ROUND. Exit code 2. */
export function parseRoundArguments([federation, round = '']: readonly string[]): {
  federationId: string
  round: number
} {
  const federationId = parseIdArgument(federation, federationIdName, 'FEDERATION')
  if (!/^(0|[1-9]\d{0,14})$/.test(round)) throw usageError('ROUND is the number of a round.')
  return { federationId, round: Number(round) }
}
