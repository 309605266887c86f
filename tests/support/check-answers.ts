import { appendFileSync } from 'node:fs'
import { type IncomingMessage, ServerResponse } from 'node:http'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Response as ExpressResponse } from 'express'
import { errorTable } from '../../server/errors.ts'
import { toTemplate } from '../../server/openapi.ts'
import { getApiDocument } from './api-document.ts'

/** Names the file that every process of a test run adds its answers to: one JSON line each. */
export const ANSWERS_FILE = 'QFLARE_TEST_ANSWERS_FILE'

/** What an answer of the API was, and why it is not as the OpenAPI document says. */
export interface CheckedAnswer {
  /** `post /v1/exchanges`, or `none` where no route took the request. */
  route: string
  status: number
  problem?: string
}

interface Response {
  headers: Record<string, { $ref: string } | { required?: boolean }>
  content?: Record<string, { schema?: object }>
}
interface Operation {
  responses: Record<string, Response>
}
interface Components {
  headers: Record<string, { required?: boolean; schema: { type?: string } }>
  responses: Record<'MethodNotAllowed', Response>
}

/**
 * Compares every answer that this process gives over HTTP with the OpenAPI document, from now on. It looks at what really goes
 * out, below Express, so that no way around it is left.
 */
export function checkAnswers(onAnswer: (answer: CheckedAnswer) => void): void {
  const check = createCheck()
  const end = ServerResponse.prototype.end
  ServerResponse.prototype.end = function (this: ServerResponse, ...args: unknown[]) {
    const { locals } = this as ExpressResponse
    // Only the API is made with Express; a proxy or a page of a test is not it.
    if (locals !== undefined && this.req !== undefined) {
      const body = typeof args[0] === 'function' ? undefined : (args[0] as string | Uint8Array | undefined)
      record(check(this.req, this, locals.route, body), onAnswer)
    }
    return Reflect.apply(end, this, args)
  } as typeof end
}

function record(answer: CheckedAnswer, onAnswer: (answer: CheckedAnswer) => void): void {
  const file = process.env[ANSWERS_FILE]
  if (file) appendFileSync(file, `${JSON.stringify(answer)}\n`)
  onAnswer(answer)
}

function createCheck() {
  const document = getApiDocument()
  const components = document.components as Components
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addVocabulary(['components', 'openapi', 'info', 'servers', 'tags', 'paths'])
  ajv.addSchema(document, 'api')

  function validate(pointer: string, value: unknown): string | undefined {
    const matches = ajv.getSchema(`api#${pointer}`)
    if (matches === undefined) throw new Error(`The document has nothing at ${pointer}.`)
    return matches(value) === true ? undefined : ajv.errorsText(matches.errors)
  }

  return (
    req: IncomingMessage,
    res: ServerResponse,
    routePath: unknown,
    body: string | Uint8Array | undefined,
  ): CheckedAnswer => {
    const status = res.statusCode
    const path = typeof routePath === 'string' ? toTemplate(routePath) : undefined
    const method = req.method === 'HEAD' ? 'get' : String(req.method).toLowerCase()
    const operation = path === undefined ? undefined : (document.paths[path]?.[method] as Operation | undefined)
    const route = path === undefined ? 'none' : `${method} ${path}`
    const problem =
      operation === undefined
        ? checkUnrouted(components, res, body, validate)
        : checkOperation(components, operation, `/paths/${escape(path as string)}/${method}`, res, body, validate)
    return problem === undefined ? { route, status } : { route, status, problem }
  }
}

type Validate = (pointer: string, value: unknown) => string | undefined

function checkOperation(
  components: Components,
  operation: Operation,
  pointer: string,
  res: ServerResponse,
  body: string | Uint8Array | undefined,
  validate: Validate,
): string | undefined {
  const response = operation.responses[res.statusCode]
  if (response === undefined) return `status ${res.statusCode} is not described`
  const headers = checkHeaders(components, response, res, validate)
  if (headers !== undefined) return headers
  const type = String(res.getHeader('content-type') ?? '').split(';')[0] as string
  if (res.req.method === 'HEAD') return undefined
  if (response.content === undefined) return body === undefined ? undefined : 'no body is described'
  const described = type in response.content ? type : '*/*'
  const media = response.content[described]
  if (media === undefined) return `content of type ${type} is not described`
  if (media.schema === undefined) return undefined
  const at = `${pointer}/responses/${res.statusCode}/content/${escape(described)}/schema`
  return validate(at, JSON.parse(String(body)))
}

/** Of the headers that the document knows, those that are described stand there in their form, and no others. */
function checkHeaders(
  components: Components,
  { headers }: Response,
  res: ServerResponse,
  validate: Validate,
): string | undefined {
  for (const [name, shared] of Object.entries(components.headers)) {
    const described = headers[name]
    const value = res.getHeader(name)
    if (value === undefined) {
      const isRequired = described !== undefined && ('$ref' in described ? shared : described).required === true
      if (isRequired) return `the header ${name} is missing`
      continue
    }
    if (described === undefined) return `the header ${name} is not described`
    const isNumber = shared.schema.type === 'integer' && /^\d+$/.test(String(value))
    const fault = validate(`/components/headers/${name}/schema`, isNumber ? Number(value) : value)
    if (fault !== undefined) return `the header ${name}: ${fault}`
  }
  const limits = ['limit', 'remaining', 'reset'].filter((name) => res.hasHeader(`ratelimit-${name}`))
  return limits.length % 3 === 0 ? undefined : 'the headers of a limit are not all there'
}

/** What no route takes is answered with a problem all the same; only a browser's preflight is answered by no route. */
function checkUnrouted(
  components: Components,
  res: ServerResponse,
  body: string | Uint8Array | undefined,
  validate: Validate,
): string | undefined {
  if (res.req.method === 'HEAD') return undefined
  // A page of its own, which is no part of the API.
  const { originalUrl } = res.req as IncomingMessage & { originalUrl?: string }
  if (originalUrl?.startsWith('/admin/queues') === true && res.statusCode < 400) return undefined
  if (res.hasHeader('access-control-allow-methods')) return body === undefined ? undefined : 'a preflight has no body'
  const problem = JSON.parse(String(body)) as { code: keyof typeof errorTable; status: number }
  const expected = errorTable[problem.code]?.status
  if (res.statusCode !== expected || problem.status !== expected) return `${problem.code} goes with ${expected}`
  const headers =
    expected === 405 ? checkHeaders(components, components.responses.MethodNotAllowed, res, validate) : undefined
  return headers ?? validate('/components/schemas/Problem', problem)
}

/** A JSON pointer's segment within a URI fragment. */
function escape(segment: string): string {
  return encodeURIComponent(segment.replaceAll('~', '~0').replaceAll('/', '~1'))
}
