import { z } from 'zod'
import { principalKinds } from '../protocol/enrollment.ts'
import { sessionStates } from '../protocol/exchange/session-states.ts'
import { timestamp, uuid } from '../protocol/wire.ts'
import { createHttpClient, type HttpClient, type HttpOptions, type RequestOptions } from './http.ts'

// Members that a newer server adds are passed on: nothing here is signed, and an operator's tool should outlive an upgrade.

const createdToken = z.looseObject({ id: uuid, token: z.string().max(256), expiresAt: timestamp })

const enrollmentToken = z.looseObject({
  id: uuid,
  kind: z.enum(principalKinds),
  name: z.string().nullable(),
  policyId: z.string(),
  status: z.enum(['open', 'used', 'expired', 'revoked']),
  createdAt: timestamp,
  expiresAt: timestamp,
  deviceId: uuid.nullable(),
})
export type EnrollmentToken = z.output<typeof enrollmentToken>

const device = z.looseObject({
  id: uuid,
  name: z.string(),
  kind: z.enum(principalKinds),
  status: z.string(),
  spiffeId: z.string(),
  identityKey: z.looseObject({ kid: z.string(), alg: z.string(), publicKey: z.string() }),
  activeSessionId: uuid.nullable(),
  metadata: z.record(z.string(), z.json()),
  createdAt: timestamp,
  lastSeenAt: timestamp.nullable(),
})
export type Device = z.output<typeof device>

const session = z.looseObject({
  id: uuid,
  deviceId: uuid,
  state: z.enum(sessionStates),
  suite: z.string(),
  bucket: z.int(),
  createdAt: timestamp,
  confirmedAt: timestamp.nullable(),
  expiresAt: timestamp,
  epochs: z.looseObject({ first: z.int(), last: z.int() }),
})
export type Session = z.output<typeof session>

export interface Page<T> {
  items: T[]
  nextCursor: string | null
}

/** One page; `limit` 1 to 200. */
export interface PageQuery {
  limit?: number | undefined
  cursor?: string | undefined
}

const MAX_LIST_BYTES = 4 << 20

/** The operator's calls (docs/api.md), with an API token of role operator or admin. */
export class QflareOperator {
  readonly #http: HttpClient
  readonly #auth: RequestOptions

  constructor(http: HttpClient, apiToken: string) {
    this.#http = http
    this.#auth = { bearer: apiToken, maxAnswerBytes: MAX_LIST_BYTES }
  }

  /** `token` is shown this once. `ttlSeconds`: 60 to 2,592,000; the server's default is a day. */
  createEnrollmentToken(request: {
    kind: (typeof principalKinds)[number]
    name?: string | undefined
    policyId?: string | undefined
    ttlSeconds?: number | undefined
  }): Promise<z.output<typeof createdToken>> {
    return this.#http.post('/v1/enrollment-tokens', request, createdToken, this.#auth)
  }

  listEnrollmentTokens(query: PageQuery = {}): Promise<Page<EnrollmentToken>> {
    return this.#http.get(`/v1/enrollment-tokens${toQuery(query)}`, pageOf(enrollmentToken), this.#auth)
  }

  revokeEnrollmentToken(id: string): Promise<void> {
    return this.#http.delete(`/v1/enrollment-tokens/${encodeURIComponent(id)}`, this.#auth)
  }

  listDevices(
    query: PageQuery & { status?: string | undefined; kind?: string | undefined } = {},
  ): Promise<Page<Device>> {
    return this.#http.get(`/v1/devices${toQuery(query)}`, pageOf(device), this.#auth)
  }

  getDevice(id: string): Promise<Device> {
    return this.#http.get(`/v1/devices/${encodeURIComponent(id)}`, device, this.#auth)
  }

  /** With its sessions, for good. Repeating it changes nothing. */
  revokeDevice(id: string): Promise<Device> {
    const options = { ...this.#auth, repeatable: true }
    return this.#http.post(`/v1/devices/${encodeURIComponent(id)}/revoke`, {}, device, options)
  }

  /** The newest bucket first. */
  listSessions(query: PageQuery & { deviceId?: string | undefined } = {}): Promise<Page<Session>> {
    return this.#http.get(`/v1/sessions${toQuery(query)}`, pageOf(session), this.#auth)
  }
}

/** Throws `insecure_url`. */
export function openOperator(options: HttpOptions & { apiToken: string }): QflareOperator {
  return new QflareOperator(createHttpClient(options), options.apiToken)
}

/** Every item of a list, page by page. */
export async function* allPages<T>(list: (query: PageQuery) => Promise<Page<T>>): AsyncGenerator<T> {
  let cursor: string | undefined
  do {
    const page = await list({ limit: 200, cursor })
    yield* page.items
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
}

function pageOf<S extends z.ZodType>(item: S) {
  return z.looseObject({ items: z.array(item).max(200), nextCursor: z.string().max(1024).nullable() })
}

/** Empty, or with its question mark. */
function toQuery(query: object): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value))
  return parameters.size === 0 ? '' : `?${parameters.toString()}`
}
