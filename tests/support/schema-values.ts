import fc from 'fast-check'
import type { Json } from '../../protocol/encoding.ts'

/** What of JSON Schema 2020-12 the OpenAPI document uses. */
export interface JsonSchema {
  $ref?: string
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean' | 'null'
  const?: Json
  enum?: Json[]
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  properties?: Record<string, JsonSchema>
  required?: string[]
  additionalProperties?: boolean | JsonSchema
  items?: JsonSchema
  minItems?: number
  maxItems?: number
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  format?: string
}

/** The schema that a reference leads to. */
export type Resolve = (schema: JsonSchema) => JsonSchema

/** Each of them ends base64url of any length that is one, so that text made of them alone is canonical. */
const canonical = fc.constantFrom('A', 'Q', 'g', 'w')

/** JSON of a schema: what it allows, with its edges. `ids` is what a UUID may be. */
export function valuesOf(schema: JsonSchema, resolve: Resolve, ids: fc.Arbitrary<string>): fc.Arbitrary<Json> {
  const found = resolve(schema)
  const choices = found.anyOf ?? found.oneOf
  if (choices !== undefined) return fc.oneof(...choices.map((choice) => valuesOf(choice, resolve, ids)))
  if (found.const !== undefined) return fc.constant(found.const)
  if (found.enum !== undefined) return fc.constantFrom(...found.enum)
  const { type } = found
  if (type === undefined) return fc.jsonValue({ maxDepth: 1 }) as fc.Arbitrary<Json>
  switch (type) {
    case 'object':
      return objectsOf(found, resolve, ids)
    case 'array': {
      const { items = {}, minItems = 0, maxItems = 3 } = found
      return fc.array(valuesOf(items, resolve, ids), {
        minLength: minItems,
        maxLength: Math.min(maxItems, minItems + 2),
      })
    }
    case 'string':
      return textsOf(found, ids)
    case 'integer':
    case 'number': {
      const { minimum = -1, maximum = 1_000 } = found
      return fc.oneof(
        fc.constantFrom(minimum, maximum),
        fc.maxSafeInteger().map((some) => clamp(some, minimum, maximum)),
      )
    }
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
  }
}

function clamp(value: number, minimum: number, maximum: number): number {
  return Math.min(maximum, Math.max(minimum, value))
}

function objectsOf(schema: JsonSchema, resolve: Resolve, ids: fc.Arbitrary<string>): fc.Arbitrary<Json> {
  const members = Object.entries(schema.properties ?? {}).map(
    ([name, member]) => [name, valuesOf(member, resolve, ids)] as const,
  )
  const known = fc.record(Object.fromEntries(members), { requiredKeys: schema.required ?? [] })
  const { additionalProperties: others } = schema
  if (typeof others !== 'object') return known as fc.Arbitrary<Json>
  const more = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), valuesOf(others, resolve, ids), { maxKeys: 2 })
  return fc.tuple(known, more).map(([own, added]) => ({ ...added, ...own }) as Json)
}

function textsOf({ pattern, format, minLength = 0, maxLength }: JsonSchema, ids: fc.Arbitrary<string>) {
  if (format === 'uuid') return ids
  const longest = Math.min(maxLength ?? minLength + 24, 8_192)
  if (pattern === '^[A-Za-z0-9_-]*$') {
    return fc.string({ unit: canonical, minLength, maxLength: longest }).filter((text) => text.length % 4 !== 1)
  }
  if (pattern === undefined || pattern.includes('\\p')) {
    const allowed = new RegExp(pattern ?? '', 'u')
    return fc.string({ unit: 'grapheme', minLength, maxLength: longest }).filter((text) => allowed.test(text))
  }
  return fc.stringMatching(new RegExp(pattern))
}
