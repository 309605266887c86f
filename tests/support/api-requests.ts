import fc from 'fast-check'
import type { Json } from '../../protocol/encoding.ts'
import type { OpenApiDocument } from '../../server/openapi.ts'
import { faultsOf, writeJson } from './schema-faults.ts'
import { type JsonSchema, type Resolve, valuesOf } from './schema-values.ts'

interface Parameter {
  name: string
  in: 'path' | 'query'
  required: boolean
  schema: JsonSchema
}

/** One of the OpenAPI document. */
export interface Operation {
  /** `post /v1/exchanges`. */
  name: string
  method: string
  /** With `{id}`. */
  path: string
  /** Where in the document. */
  pointer: string
  parameters: Parameter[]
  body: JsonSchema | undefined
}

export interface GeneratedRequest {
  method: string
  path: string
  /** Of the parameters as they are sent. */
  named: Record<string, string>
  query: [name: string, value: string][]
  /** Undefined where there is none. */
  text: string | undefined
  headers: Record<string, string>
}

/** A request that is taken, or refused for a reason of its own only. */
export interface Seed {
  named: readonly string[]
  token: string
  body: Json
}

/** What requests are made with. */
export interface Ingredients {
  /** Of each role; undefined is nobody's. */
  tokens: readonly (string | undefined)[]
  /** Of those that may the most. */
  strongTokens: readonly (string | undefined)[]
  /** Of what is there, by the path under which it is found; of this organization and of another. */
  ids: ReadonlyMap<string, readonly string[]>
  seeds: ReadonlyMap<string, Seed>
}

export function listOperations(document: OpenApiDocument): Operation[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, described]) => {
      const { parameters, requestBody } = described as {
        parameters: Parameter[]
        requestBody?: { content: Record<string, { schema: JsonSchema }> }
      }
      const pointer = `/paths/${encodeURIComponent(path.replaceAll('/', '~1'))}/${method}`
      const body = requestBody?.content['application/json']?.schema
      return { name: `${method} ${path}`, method: method.toUpperCase(), path, pointer, parameters, body }
    }),
  )
}

export function resolverOf(document: OpenApiDocument): Resolve {
  const { schemas } = document.components as { schemas: Record<string, JsonSchema> }
  return (schema) => (schema.$ref === undefined ? schema : (schemas[schema.$ref.split('/').at(-1) ?? ''] as JsonSchema))
}

/** Requests of an operation as its document has them, and with a fault or two. */
export function requestsOf(
  operation: Operation,
  resolve: Resolve,
  { tokens, strongTokens, ids, seeds }: Ingredients,
): fc.Arbitrary<GeneratedRequest> {
  const seed = seeds.get(operation.name)
  const someIds = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...[...ids.values()].flat()) },
    { weight: 1, arbitrary: fc.uuid() },
  )
  const inPath = operation.parameters.filter((parameter) => parameter.in === 'path')
  const inQuery = operation.parameters.filter((parameter) => parameter.in === 'query')
  return fc
    .record({
      named: fc.tuple(
        ...inPath.map((parameter, index) =>
          partsOf(parameter, someIds, [
            ...(seed?.named.slice(index, index + 1) ?? []),
            ...ownIds(operation, ids, parameter),
          ]),
        ),
      ),
      query: fc.tuple(...inQuery.map((parameter) => queryOf(parameter, resolve, someIds))),
      extra: rarely<[string, string][]>([], [['extra', '1']]),
      text: operation.body === undefined ? fc.constant(undefined) : bodiesOf(operation.body, resolve, someIds, seed),
      token: fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom(...(seed === undefined ? strongTokens : [seed.token])) },
        { weight: 3, arbitrary: fc.constantFrom(...tokens) },
      ),
      headers: rarely<Record<string, string>>({}, ...oddHeaders),
    })
    .map(({ named, query, extra, text, token, headers }) => ({
      method: operation.method,
      path: operation.path,
      named: Object.fromEntries(inPath.map(({ name }, index) => [name, named[index] ?? ''])),
      query: [...query.flat(), ...extra],
      text,
      headers: {
        ...(text === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
    }))
}

/** The path and query as they are sent. */
export function targetOf({ path, named, query }: GeneratedRequest): string {
  const target = path.replace(/\{(\w+)\}/g, (_all, name: string) => named[name] ?? '')
  const pairs = query.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
  return pairs.length === 0 ? target : `${target}?${pairs.join('&')}`
}

const oddHeaders: Record<string, string>[] = [
  { authorization: 'Bearer' },
  { authorization: 'Bearer qs_AAAA' },
  { authorization: 'Basic YTpi' },
  { authorization: `Bearer qf_${'x'.repeat(4_000)}` },
  { 'content-type': 'text/plain' },
  { 'content-type': 'application/json; charset=utf-16' },
  { 'content-encoding': 'gzip' },
  { 'x-request-id': 'x'.repeat(200) },
  { accept: 'text/html' },
  { 'if-none-match': '*' },
  { range: 'bytes=0-1' },
  { origin: 'https://elsewhere.example' },
  { 'last-event-id': '-1' },
  { 'last-event-id': '9'.repeat(30) },
  { 'x-http-method-override': 'DELETE' },
]

/** What no path has, as it is sent. */
const oddParts = [
  '',
  '%',
  '%00',
  '%2e%2e',
  '..%2f..%2fpackage.json',
  '0',
  '-1',
  '1e3',
  '01',
  `${'9'.repeat(16)}`,
  '%D9%A3',
  'null',
  'x'.repeat(2_000),
]
const goodParts: Record<string, string[]> = {
  round: ['1', '7'],
  name: ['none', 'idle', 'end-sessions'],
  file: ['show.js', 'swagger-ui.css'],
  run: ['long:1', 'long:2'],
  path: ['0/000', '0/000.p/1', '1/000', '0/x001/000', 'entries/000'],
}

/** What this part of the path means. */
function ownIds({ path }: Operation, ids: Ingredients['ids'], { name }: Parameter): readonly string[] {
  if (name !== 'id') return name === 'deviceId' ? (ids.get('/v1/devices') ?? []) : []
  return ids.get(path.slice(0, path.indexOf('/{id}'))) ?? []
}

function partsOf({ name }: Parameter, ids: fc.Arbitrary<string>, own: readonly string[]): fc.Arbitrary<string> {
  const known = goodParts[name]
  const good = known === undefined ? ids : fc.constantFrom(...known)
  const odd = fc.oneof(
    fc.constantFrom(...oddParts),
    ids.map((id) => id.toUpperCase()),
  )
  return fc.oneof(
    { weight: own.length === 0 ? 0 : 12, arbitrary: fc.constantFrom(...own, ...(own.length === 0 ? [''] : [])) },
    { weight: 4, arbitrary: good },
    { weight: 1, arbitrary: odd },
  )
}

function queryOf(
  { name, required, schema }: Parameter,
  resolve: Resolve,
  ids: fc.Arbitrary<string>,
): fc.Arbitrary<[string, string][]> {
  const good = valuesOf(schema, resolve, ids).map(String)
  const odd = fc.constantFrom(
    '',
    '0',
    '-1',
    '1.5',
    '1e3',
    '9'.repeat(15),
    '9'.repeat(16),
    'x',
    '\u0000',
    'AA',
    'x'.repeat(2_000),
    '[]',
    '%',
  )
  const pair = mostly(good, odd).map((value): [string, string] => [name, value])
  const once = pair.map((one) => [one])
  const twice = fc.tuple(pair, pair)
  return fc.oneof(
    { weight: required ? 1 : 16, arbitrary: fc.constant<[string, string][]>([]) },
    { weight: required ? 16 : 4, arbitrary: once },
    { weight: 1, arbitrary: twice },
  )
}

function bodiesOf(
  schema: JsonSchema,
  resolve: Resolve,
  ids: fc.Arbitrary<string>,
  seed: Seed | undefined,
): fc.Arbitrary<string | undefined> {
  const made = valuesOf(schema, resolve, ids)
  const good = seed === undefined ? made : mostly(fc.constant(seed.body), made)
  const written = fc
    .tuple(good, fc.array(fc.nat(), { maxLength: 2 }))
    .map(([value, places]) => writeJson(places.reduce((json, place) => withFault(schema, json, resolve, place), value)))
  return mostly(written, fc.constantFrom(undefined, '', '{', 'null', '[]', '{}', '{}{}', '\ufeff{}', '{"a":1e999}'))
}

function withFault(schema: JsonSchema, value: Json, resolve: Resolve, place: number): Json {
  const faults = faultsOf(schema, value, resolve)
  return faults[place % faults.length] as Json
}

function mostly<T, U>(usual: fc.Arbitrary<T>, other: fc.Arbitrary<U>): fc.Arbitrary<T | U> {
  return fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: other })
}

function rarely<T>(usual: T, ...others: T[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) })
}
