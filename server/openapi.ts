import { type ZodType, z } from 'zod'
import { type ErrorCode, errorTable } from './errors.ts'
import { problem } from './respond-error.ts'
import type { Access, AnswerSpec, Route } from './route.ts'

type JsonObject = Record<string, unknown>

export interface OpenApiDocument extends JsonObject {
  openapi: string
  paths: Record<string, JsonObject>
}

/** The schemas with a name, by name: they stand once, and are referred to. */
type Components = Record<string, unknown>

/** The OpenAPI 3.1 document of these routes, from the schemas that check their requests. */
export function describeApi(routes: readonly Route[], version: string): OpenApiDocument {
  const components: Components = {}
  const paths: Record<string, JsonObject> = {}
  for (const route of routes) {
    const path = toTemplate(route.path)
    paths[path] = { ...paths[path], [route.method]: describeRoute(route, components) }
  }
  const refusedMethod = describeRefusal(['method_not_allowed'], components, true)
  return {
    openapi: '3.1.1',
    info: {
      title: 'QFLARE',
      version,
      summary: 'Post-quantum trust service of a federated-learning fleet',
      description:
        'Enrolment, ML-KEM-1024 key exchanges in time buckets, devices and tenants. Every answer has `X-Request-Id`; errors' +
        ' are problem details (RFC 9457). An unknown path is `not_found`; an unknown method `method_not_allowed`, and both' +
        ' may be `rate_limited`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(tagOf))].map((name) => ({ name })),
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(components).sort(([a], [b]) => (a < b ? -1 : 1))),
      headers: sharedHeaders,
      responses: { MethodNotAllowed: refusedMethod },
      securitySchemes: {
        apiToken: { type: 'http', scheme: 'bearer', description: 'An API token: `qf_<id>.<secret>`.' },
        accessToken: { type: 'http', scheme: 'bearer', description: 'The access token of a session: `qs_…`.' },
      },
    },
  }
}

/** A path as OpenAPI writes it; it has no notation for the rest of one. */
export function toTemplate(path: string): string {
  return path.replace(/[:*](\w+)/g, '{$1}')
}

const number = { type: 'integer', minimum: 0 }
const sharedHeaders = {
  'X-Request-Id': {
    description: 'Names this request in the log.',
    required: true,
    schema: { type: 'string', format: 'uuid' },
  },
  'Retry-After': { description: 'Seconds to wait before trying again.', required: true, schema: number },
  Location: { description: 'Where what was made can be fetched.', required: true, schema: { type: 'string' } },
  'QFLARE-Pass': {
    description: 'For the same header of the next requests of the device: a busy service serves it first.',
    required: true,
    schema: { type: 'string' },
  },
  Allow: { description: 'The methods that this path takes.', required: true, schema: { type: 'string' } },
  'WWW-Authenticate': { description: 'How to prove who asks.', required: true, schema: { const: 'Bearer' } },
  'RateLimit-Limit': { description: 'Requests a minute, of the limit of which the least is left.', schema: number },
  'RateLimit-Remaining': { description: 'Of them, how many are left.', schema: number },
  'RateLimit-Reset': { description: 'Seconds until the limit begins anew.', schema: number },
} as const
type HeaderName = keyof typeof sharedHeaders

/** There where a limit is in force; only what is for the machine itself has none. */
const rateLimitHeaders = ['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset'] as const

const callers: Record<Access, { who: string; security: JsonObject[] }> = {
  anyone: { who: 'anyone', security: [] },
  machine: { who: 'programs on the machine itself, or on the operator port', security: [] },
  operator: { who: 'operators', security: [{ apiToken: [] }] },
  operator_or_own: {
    who: 'operators; a device or coordinator for its own',
    security: [{ apiToken: [] }, { accessToken: [] }],
  },
  own: { who: 'the device or coordinator itself', security: [{ accessToken: [] }] },
  auditor: { who: 'auditors', security: [{ apiToken: [] }] },
  coordinator: { who: 'coordinators', security: [{ apiToken: [] }, { accessToken: [] }] },
  operator_or_coordinator: { who: 'operators and coordinators', security: [{ apiToken: [] }, { accessToken: [] }] },
  auditor_or_coordinator: {
    who: 'auditors, operators and coordinators',
    security: [{ apiToken: [] }, { accessToken: [] }],
  },
  coordinator_in_session: { who: 'coordinators in a session', security: [{ accessToken: [] }] },
  device_in_session: { who: 'devices in a session', security: [{ accessToken: [] }] },
  admin: { who: 'admins', security: [{ apiToken: [] }] },
  service_admin: { who: 'admins of the service', security: [{ apiToken: [] }] },
}

function describeRoute(route: Route, components: Components): JsonObject {
  const { who, security } = callers[route.access]
  return {
    operationId: operationIdOf(route),
    tags: [tagOf(route)],
    summary: route.summary,
    description: `For ${who}.`,
    security,
    parameters: [...describePath(route), ...describeQuery(route, components)],
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: describe(route.body, components) } },
          },
        }),
    responses: describeResponses(route, components),
  }
}

/** `/v1/enrollment-tokens/:id` belongs to `enrollment-tokens`; what stands outside of /v1 to `service`. */
function tagOf({ path }: Route): string {
  return /^\/v1\/([a-z-]+)/.exec(path)?.[1] ?? 'service'
}

function operationIdOf({ method, path }: Route): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '' && word !== 'v1')
  return method + words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join('')
}

function describePath({ path }: Route): JsonObject[] {
  return Array.from(path.matchAll(/[:*](\w+)/g), ([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: schemaOfPart(name ?? ''),
  }))
}

function schemaOfPart(name: string): JsonObject {
  if (name === 'round') return { ...number, minimum: 1 }
  return /^id$|Id$/.test(name) ? { type: 'string', format: 'uuid' } : { type: 'string' }
}

function describeQuery({ query }: Route, components: Components): JsonObject[] {
  if (query === undefined) return []
  const { properties = {}, required = [] } = describe(query, components) as {
    properties?: Record<string, JsonObject>
    required?: string[]
  }
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema,
  }))
}

function describeResponses(route: Route, components: Components): JsonObject {
  const isLimited = route.access !== 'machine'
  const responses: Record<string, Response> = {}
  for (const [status, answer] of Object.entries(route.answers)) {
    responses[status] = describeAnswer(answer, components, isLimited)
  }
  for (const [status, codes] of Map.groupBy(errorCodesOf(route), (code) => errorTable[code].status)) {
    const answer = responses[status]
    const refusal = describeRefusal(codes, components, isLimited)
    responses[status] = answer === undefined ? refusal : joinResponses(answer, refusal)
  }
  return responses
}

interface Response extends JsonObject {
  headers: JsonObject
  content?: JsonObject
}

/** One status that is an answer or a refusal: what only one of them has may be missing. */
function joinResponses(answer: Response, refusal: Response): Response {
  const optional = Object.keys(refusal.headers)
    .filter((name) => !(name in answer.headers))
    .map((name) => [name, { ...sharedHeaders[name as HeaderName], required: false }] as const)
  return {
    ...answer,
    headers: { ...answer.headers, ...Object.fromEntries(optional) },
    content: { ...answer.content, ...refusal.content },
  }
}

function describeAnswer(answer: AnswerSpec, components: Components, isLimited: boolean): Response {
  const { body, contentType, description } = answer
  const content =
    body === undefined
      ? contentType === undefined
        ? undefined
        : { [contentType]: {} }
      : { 'application/json': { schema: describe(body, components) } }
  return {
    description,
    headers: headersOf(isLimited, [
      ...(answer.hasLocation === true ? (['Location'] as const) : []),
      ...(answer.hasPass === true ? (['QFLARE-Pass'] as const) : []),
    ]),
    ...(content === undefined ? {} : { content }),
  }
}

/** What a refusal has besides its body, by its status. */
const refusalHeaders: Partial<Record<number, readonly HeaderName[]>> = {
  401: ['WWW-Authenticate'],
  405: ['Allow'],
  429: ['Retry-After'],
  503: ['Retry-After'],
}

function describeRefusal(codes: readonly ErrorCode[], components: Components, isLimited: boolean): Response {
  const { status } = errorTable[codes[0] as ErrorCode]
  return {
    description: codes.map((code) => `\`${code}\`: ${errorTable[code].title}.`).join(' '),
    headers: headersOf(isLimited, refusalHeaders[status]),
    content: {
      'application/problem+json': {
        schema: {
          allOf: [describe(problem, components), { properties: { code: { enum: codes }, status: { const: status } } }],
        },
      },
    },
  }
}

function headersOf(isLimited: boolean, names: readonly HeaderName[] = []): JsonObject {
  const all: HeaderName[] = ['X-Request-Id', ...names, ...(isLimited ? rateLimitHeaders : [])]
  return Object.fromEntries(all.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}

/** What a route says itself, and what follows from its access, path and body. */
export function errorCodesOf(route: Route): ErrorCode[] {
  const { access, path, body, queue, errors = [] } = route
  const codes: ErrorCode[] = ['malformed', 'internal', 'unavailable', ...errors]
  if (body !== undefined) codes.push('unsupported_media_type', 'payload_too_large')
  if (/[:*]/.test(path) || access === 'machine') codes.push('not_found')
  if (access !== 'machine') codes.push('rate_limited')
  if (queue !== undefined) codes.push('overloaded')
  // A token that nobody knows yet waits to be looked up.
  if (callers[access].security.length > 0) codes.push('unauthenticated', 'forbidden', 'overloaded')
  return [...new Set(codes)]
}

/** The JSON schema of the wire form. Named schemas become components. */
function describe(schema: ZodType, components: Components): JsonObject {
  // In a wrapper, so that a schema with a name is referred to even when it is the whole.
  const described = z.toJSONSchema(z.object({ schema }), {
    io: 'input',
    unrepresentable: 'any',
    // A number in a query is checked as text and described as a number.
    override({ jsonSchema }) {
      if (jsonSchema.type !== 'integer' || jsonSchema.pattern === undefined) return
      delete jsonSchema.pattern
      jsonSchema.minimum ??= 0
    },
  })
  const { properties, $defs = {} } = JSON.parse(
    JSON.stringify(described).replaceAll('"#/$defs/', '"#/components/schemas/'),
  ) as { properties: { schema: JsonObject }; $defs?: Record<string, JsonObject> }
  Object.assign(components, $defs)
  return properties.schema
}
