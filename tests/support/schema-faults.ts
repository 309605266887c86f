import type { Json } from '../../protocol/encoding.ts'
import type { JsonSchema, Resolve } from './schema-values.ts'

/** Ends the name of a member that stands twice, until the JSON is written (`writeJson`). */
const TWICE = '\u0001twice'

type Members = Record<string, Json>

/** JSON text, with the members of `standTwice` under one name. */
export function writeJson(value: Json): string {
  return JSON.stringify(value).replaceAll(JSON.stringify(TWICE).slice(1, -1), '')
}

/**
 * What may be wrong with JSON of a schema, one thing at a time: each member missing, another, twice, of another type, null, at its
 * bounds and one beyond them. Some of it the schema allows.
 */
export function faultsOf(schema: JsonSchema, value: Json, resolve: Resolve): Json[] {
  const found = resolve(schema)
  const choices = found.anyOf ?? found.oneOf
  if (choices !== undefined) return choices.flatMap((choice) => faultsOf(choice, value, resolve))
  return [...otherTypes(value), ...otherValues(found, value), ...faultsWithin(found, value, resolve)]
}

function otherTypes(value: Json): Json[] {
  return [null, true, false, 0, -1, 0.5, 1e308, '', 'text', [], {}, [value], { value }, JSON.stringify(value)]
}

function otherValues(schema: JsonSchema, value: Json): Json[] {
  if (typeof value === 'number') return otherNumbers(schema, value)
  if (typeof value === 'string') return otherTexts(schema, value)
  if (Array.isArray(value)) return otherArrays(schema, value)
  return []
}

function otherNumbers({ minimum = 0, maximum = Number.MAX_SAFE_INTEGER }: JsonSchema, value: number): number[] {
  return [minimum, minimum - 1, maximum, maximum + 1, value + 0.5, -value, value * 2 ** 32, 2 ** 31, 2 ** 63]
}

function otherTexts({ minLength = 0, maxLength, enum: known = [] }: JsonSchema, value: string): Json[] {
  const shorter = minLength > 0 ? [value.slice(0, minLength - 1)] : []
  const longest = maxLength ?? value.length + 1_000
  const padding = value.at(-1) ?? 'A'
  return [
    ...known,
    ...shorter,
    value.padEnd(Math.min(longest, 70_000), padding),
    value.padEnd(Math.min(longest + 1, 70_000), padding),
    ...['\u0000', '\n', ' ', '=', '\u202e', '\ud800', '\u{1f600}', '%00', "'; drop table session --"].map(
      (added) => value + added,
    ),
    value.toUpperCase(),
    value.slice(1),
    `${value}${value}`,
    '__proto__',
    '../../x',
  ]
}

function otherArrays({ minItems = 0, maxItems = 0 }: JsonSchema, value: Json[]): Json[] {
  const [first = 'x'] = value
  const size = JSON.stringify(first).length
  const tooMany = Math.min(maxItems + 1, Math.floor(60_000 / size), 10_001)
  return [
    value.slice(0, Math.max(0, minItems - 1)),
    [...value, ...value],
    [...value, null],
    [[...value]],
    Array.from({ length: tooMany }, () => first),
  ]
}

function faultsWithin(schema: JsonSchema, value: Json, resolve: Resolve): Json[] {
  if (Array.isArray(value)) {
    return value
      .slice(0, 2)
      .flatMap((item, at) => faultsOf(schema.items ?? {}, item, resolve).map((fault) => value.with(at, fault)))
  }
  if (typeof value !== 'object' || value === null) return []
  const members: Members = value
  const { properties = {}, additionalProperties: others } = schema
  const added = ['extra', 'toString', '', '__proto__', 'constructor', ...Object.keys(properties)]
  return [
    ...Object.keys(members).flatMap((name) => {
      const { [name]: own, ...rest } = members
      const member = properties[name] ?? (typeof others === 'object' ? others : {})
      const faults = faultsOf(member, own as Json, resolve)
      return [
        rest,
        { [`${name}${TWICE}`]: own as Json, ...members },
        ...faults.map((fault) => ({ ...members, [name]: fault })),
      ]
    }),
    ...added
      .filter((name) => !Object.hasOwn(members, name))
      .flatMap((name) => [1, null].map((one) => withMember(members, name, one))),
  ]
}

/** As JSON.parse does it, whatever the name is. */
function withMember(members: Members, name: string, value: Json): Members {
  return Object.fromEntries([...Object.entries(members), [name, value]])
}
