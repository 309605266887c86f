import type { ZodType, z } from 'zod'
import type { Claimant } from '../runtime/lane-queue.ts'
import type { Caller, Operator, SessionCaller } from './caller.ts'
import { type ErrorCode, ServiceError } from './errors.ts'
import type { RateLimitState } from './rate-limit.ts'

/** Who may call a route, and what is known of the caller then. There is no default: each route says it. */
interface CallerOf {
  anyone: Caller
  /** Programs on this machine, or on the operator port. */
  machine: Caller
  operator: Operator
  auditor: Operator
  /** An operator, or the device or coordinator for what is its own: which that is, is for the service to say. */
  operator_or_own: Operator | SessionCaller
  /** An API token for coordinators, or a coordinator in its session: to which federations it is assigned, its service says. */
  coordinator: Operator | SessionCaller
  operator_or_coordinator: Operator | SessionCaller
  /** What a round leaves behind is for those who run it, and for those who audit it. */
  auditor_or_coordinator: Operator | SessionCaller
  /** No API token: what it gets is sealed for its session, or signed in its name. */
  coordinator_in_session: SessionCaller
  device_in_session: SessionCaller
  /** The device or coordinator itself, and nobody for it: which it is, is for the service to say. */
  own: SessionCaller
  admin: Operator
  /** An admin who may administer the service itself. */
  service_admin: Operator
}
export type Access = keyof CallerOf

/** One answer that a route gives when all is well. */
export interface AnswerSpec {
  /** One phrase for people. */
  description: string
  /** What goes out as JSON, in its wire form. Without it there is no body, or one that `contentType` names. */
  body?: ZodType
  /** Of a body that is not JSON; it may be streamed. */
  contentType?: string
  /** The answer names in `Location` what was made. */
  hasLocation?: true
  /** The answer has a pass for the device, which it shows with its next requests. */
  hasPass?: true
}
type AnswerSpecs = Readonly<Record<number, AnswerSpec>>

/** What goes out; a string, bytes or chunks of text as they are, under the Content-Type that `headers` names. */
export interface RouteAnswer {
  status: number
  body?: unknown
  headers?: Record<string, string>
  /** Ends the connection of a stream where it is, whether or not anybody reads it. */
  cutOff?: AbortSignal
  /** Those that the route counted itself; undefined where one is off. */
  rateLimits?: readonly (RateLimitState | undefined)[]
}

type AnswerOf<S extends AnswerSpecs> = {
  [Status in keyof S]: { status: Status } & Pick<RouteAnswer, 'headers' | 'cutOff' | 'rateLimits'> &
    (S[Status] extends { body: infer B }
      ? { body: DeepReadonly<z.input<B>> }
      : S[Status] extends { contentType: string }
        ? { body: string | Uint8Array | AsyncIterable<string>; headers: Record<string, string> }
        : { body?: never })
}[keyof S]

/** A route may give out what it is itself not allowed to change. */
type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T

export interface RouteRequest<C = Caller, Query = unknown, Body = unknown> {
  /** Of the path; not checked. */
  params: Record<string, string>
  query: Query
  body: Body
  caller: C
  requestId: string
  /** That it came from; undefined where nobody knows it any more. */
  network: string | undefined
  /** Whose share of the queue it takes. */
  claimant: Claimant
  /** Of a stream of events that is taken up again, as the header says it; not checked. */
  lastEventId: string | undefined
  /** Lets this request count as so many, for its API token and organization. It goes on whatever is left of their limits. */
  weigh(requests: number): Promise<void>
}

export type QueueName = 'exchanges' | 'open_work'

/** What a route says of itself: the documentation is made from it, and the request is checked with it. */
interface RouteFacts {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  path: string
  access: Access
  /**
   * Of a session is known alone that the token for it is genuine and of now. Whether it is over, the service looks up with what else it
   * reads: for what a whole fleet asks for, one round trip less.
   */
  looksUpSession?: true
  /**
   * Where it waits before it costs anything; what has no place there is turned away before it is read. Open work is all that is looked
   * up, parsed or verified for whoever asks, but for exchanges: those wait for themselves, and their services see to it.
   */
  queue?: QueueName
  /** One line: what a call does. */
  summary: string
  query?: ZodType
  body?: ZodType
  /** Of the body; 64 KiB without it. */
  maxBodyBytes?: number
  answers: AnswerSpecs
  /** What this route refuses with, besides the codes that follow from its access, path and body. */
  errors?: readonly ErrorCode[]
}

export interface Route extends RouteFacts {
  /** Takes the request as it came: body by the strict parser, query as text. Throws ServiceError. */
  answer(request: RouteRequest): Promise<RouteAnswer>
}

/** A route is schemas and one call: `answer` gets what they parsed, and gives what they describe. */
export function defineRoute<A extends Access, const S extends AnswerSpecs, Query extends ZodType, Body extends ZodType>(
  route: Omit<RouteFacts, 'query' | 'body'> & {
    access: A
    answers: S
    query?: Query
    body?: Body
    answer(request: RouteRequest<CallerOf[A], z.output<Query>, z.output<Body>>): Promise<AnswerOf<S>>
  },
): Route {
  const { query, body } = route
  return {
    ...route,
    answer(request) {
      return route.answer({
        ...request,
        // The one place that believes `requireAccess`: it has let only such callers through.
        caller: request.caller as CallerOf[A],
        query: (query === undefined ? undefined : parseInput(query, request.query, 'parameter')) as z.output<Query>,
        body: (body === undefined ? undefined : parseInput(body, request.body, 'member')) as z.output<Body>,
      }) as Promise<RouteAnswer>
    },
  }
}

/** What untrusted input means by a schema. Throws `malformed` naming the first member or parameter at fault. */
function parseInput<S extends ZodType>(schema: S, input: unknown, part: 'member' | 'parameter'): z.output<S> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const field = [...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])].join('.')
  const detail = unknown === undefined ? (issue?.message ?? 'Not as expected.') : `This ${part} is not known here.`
  throw new ServiceError('malformed', field === '' ? detail : `${field}: ${detail}`, field === '' ? {} : { field })
}
