import type { ZodType, z } from 'zod'
import type { Caller, Operator, SessionCaller } from './caller.ts'
import { ServiceError } from './errors.ts'

/** Who may call a route. There is no default: a route without an answer to this does not compile. */
export type Access = 'anyone' | 'machine' | 'operator' | 'operator_or_own'

export interface RouteRequest<C extends Caller = Caller> {
  /** Parsed by the strict parser, not by a schema yet; undefined without a body. */
  body: unknown
  params: Record<string, string>
  query: Record<string, string>
  caller: C
  requestId: string
}

export interface RouteAnswer {
  status: number
  /** JSON; a string goes out as it is, under the Content-Type that `headers` names. */
  body?: unknown
  headers?: Record<string, string>
}

interface RouteBase {
  method: 'get' | 'post' | 'delete'
  path: string
  /** Of the body; 64 KiB without it. */
  maxBodyBytes?: number
}

export type Route = RouteBase &
  (
    | { access: 'anyone' | 'machine'; answer: (request: RouteRequest) => Promise<RouteAnswer> }
    | { access: 'operator'; answer: (request: RouteRequest<Operator>) => Promise<RouteAnswer> }
    | { access: 'operator_or_own'; answer: (request: RouteRequest<Operator | SessionCaller>) => Promise<RouteAnswer> }
  )

/** What untrusted input means by a schema. Throws `malformed` naming the first member at fault. */
export function parseInput<S extends ZodType>(schema: S, input: unknown): z.output<S> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const field = [...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])].join('.')
  const detail = unknown === undefined ? (issue?.message ?? 'Not as expected.') : 'This member is not known here.'
  throw new ServiceError('malformed', field === '' ? detail : `${field}: ${detail}`, field === '' ? {} : { field })
}
