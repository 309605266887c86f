import { z } from 'zod'
import { fromBase64url, type Json, toBase64url } from '../../protocol/encoding.ts'
import {
  type EnrollmentChallenge,
  enrollmentBytes,
  enrollmentChallenge,
  evidenceDigest,
  type PrincipalKind,
} from '../../protocol/enrollment.ts'
import {
  acceptAnswer,
  type EstablishedExchange,
  type InitiatedExchange,
  initiateExchange,
} from '../../protocol/exchange/initiate.ts'
import {
  type BucketCertificate,
  bucketsAnswer,
  exchangeAnswer,
  exchangeRequest,
} from '../../protocol/exchange/messages.ts'
import type { SigningKey } from '../../protocol/primitives.ts'
import { type SignatureAlgorithm, signatureContexts } from '../../protocol/suites.ts'
import { trustDigest } from '../../protocol/trust.ts'
import { crypto, type TestService } from './service.ts'

export interface Answer {
  status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into answers of every shape
  body: any
  headers: Headers
}

export async function call(
  service: Pick<TestService, 'url'>,
  method: string,
  path: string,
  options: {
    token?: string | undefined
    body?: unknown
    raw?: string | Uint8Array
    headers?: Record<string, string>
  } = {},
): Promise<Answer> {
  const { token, body, raw } = options
  const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body))
  const response = await fetch(`${service.url}${path}`, {
    method,
    headers: {
      ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...options.headers,
    },
    ...(payload === undefined ? {} : { body: payload as string }),
  })
  const isEndless = response.headers.get('content-type')?.startsWith('text/event-stream') === true
  if (isEndless) await response.body?.cancel()
  const text = isEndless ? '' : await response.text()
  const isJson = /[/+]json\b/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers }
}

/** What a refused request answers, for a comparison in one line. */
export function refusal(answer: Answer): { status: number; code: string } {
  return { status: answer.status, code: answer.body.code }
}

export interface TestDevice {
  deviceId: string
  alg: SignatureAlgorithm
  identitySeed: Uint8Array
  identityKey: SigningKey
}

export async function createToken(
  service: TestService,
  wish: {
    kind?: PrincipalKind
    name?: string
    type?: string
    capabilities?: readonly string[]
    policyId?: string
    ttlSeconds?: number
  } = {},
): Promise<{ id: string; token: string; credential: string; pin: string }> {
  const { status, body } = await call(service, 'POST', '/v1/enrollment-tokens', {
    token: service.adminToken,
    body: { kind: 'device', ...wish },
  })
  if (status !== 201) throw new Error(`no token: ${JSON.stringify(body)}`)
  const parts = (body.token as string).split('.')
  return { id: body.id, token: body.token, credential: parts.slice(0, 2).join('.'), pin: parts[2] as string }
}

export async function startEnrollment(service: TestService, credential: string): Promise<EnrollmentChallenge> {
  const { status, body } = await call(service, 'POST', '/v1/enrollments', { body: { token: credential } })
  if (status !== 201) throw new Error(`no challenge: ${JSON.stringify(body)}`)
  return enrollmentChallenge.parse(body)
}

/** The body of a completion, signed; `change` may make it wrong before or after that. */
export function signCompletion(
  started: EnrollmentChallenge,
  key: SigningKey,
  wish: { name?: string; kind?: PrincipalKind; evidence?: Json[]; trust?: EnrollmentChallenge['trust'] } = {},
): Record<string, Json> {
  const { name = 'edge', kind = 'device', evidence = [{ format: 'none' }] } = wish
  const signed = enrollmentBytes({
    enrollmentId: started.enrollmentId,
    challenge: started.challenge,
    alg: key.alg,
    publicKey: key.publicKey,
    name,
    kind,
    evidenceDigest: evidenceDigest(crypto, evidence),
    trustDigest: trustDigest(crypto, wish.trust ?? started.trust),
  })
  return {
    name,
    kind,
    identityKey: { alg: key.alg, publicKey: toBase64url(key.publicKey) },
    evidence,
    metadata: {},
    signature: toBase64url(key.sign(signed, signatureContexts.enroll)),
  }
}

export function makeIdentity(alg: SignatureAlgorithm = 'ML-DSA-44') {
  const identitySeed = crypto.randomBytes(32)
  return { alg, identitySeed, identityKey: crypto.importSigningKey(alg, identitySeed) }
}

export async function enrollTestDevice(
  service: TestService,
  wish: { kind?: PrincipalKind; alg?: SignatureAlgorithm } = {},
): Promise<TestDevice> {
  const { credential } = await createToken(service, { kind: wish.kind ?? 'device' })
  const started = await startEnrollment(service, credential)
  const identity = makeIdentity(wish.alg)
  const body = signCompletion(started, identity.identityKey, { kind: wish.kind ?? 'device' })
  const answer = await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
  if (answer.status !== 201) throw new Error(`not enrolled: ${JSON.stringify(answer.body)}`)
  return { deviceId: answer.body.deviceId, ...identity }
}

/** The certificates that the service serves now: the current bucket's, then the next one's. */
export async function fetchCertificates(service: TestService): Promise<BucketCertificate[]> {
  const { body } = await call(service, 'GET', '/v1/buckets')
  return bucketsAnswer.parse(body).certificates
}

export async function initiate(
  service: TestService,
  device: TestDevice,
  certificate?: BucketCertificate,
): Promise<InitiatedExchange & { wire: Record<string, Json> }> {
  const chosen = certificate ?? ((await fetchCertificates(service))[0] as BucketCertificate)
  const initiated = initiateExchange(crypto, device, chosen)
  return { ...initiated, wire: z.encode(exchangeRequest, initiated.request) as Record<string, Json> }
}

export function sendExchange(service: TestService, wire: Json): Promise<Answer> {
  return call(service, 'POST', '/v1/exchanges', { body: wire })
}

/** An exchange that is answered, not confirmed yet. */
export async function openExchange(service: TestService, device: TestDevice): Promise<EstablishedExchange> {
  const initiated = await initiate(service, device)
  const answer = await sendExchange(service, initiated.wire)
  if (answer.status !== 201) throw new Error(`no exchange: ${JSON.stringify(answer.body)}`)
  return acceptAnswer(crypto, initiated, exchangeAnswer.parse(answer.body))
}

export function confirm(service: TestService, device: TestDevice, opened: EstablishedExchange): Promise<Answer> {
  return call(service, 'POST', `/v1/exchanges/${opened.sessionId}/confirm`, {
    body: { deviceId: device.deviceId, confirmation: toBase64url(opened.deviceConfirmation) },
  })
}

/** An ACTIVE session and its first access token. */
export async function establish(
  service: TestService,
  device: TestDevice,
): Promise<EstablishedExchange & { accessToken: string }> {
  const opened = await openExchange(service, device)
  const answer = await confirm(service, device, opened)
  if (answer.status !== 200) throw new Error(`not confirmed: ${JSON.stringify(answer.body)}`)
  return { ...opened, accessToken: answer.body.accessToken }
}

/** Flips one bit of a base64url value. */
export function flipBit(text: string, bit = 0): string {
  const bytes = Uint8Array.from(fromBase64url(text))
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
  return toBase64url(bytes)
}

/** The stored sessions of a device, oldest first, and how many events there are of each type. */
export async function stored(service: TestService, deviceId: string) {
  const { rows } = await service.database.sql.query<{ id: string; state: string; has_keys: boolean }>(
    'select id, state, chains is not null as has_keys from session where principal_id = $1 order by created_at, id',
    [deviceId],
  )
  const events = await service.database.sql.query<{ type: string; count: number }>(
    `select entry::jsonb ->> 'type' as type, count(*)::int as count from audit_outbox
      where entry::jsonb -> 'subject' ->> 'deviceId' = $1 group by 1`,
    [deviceId],
  )
  return { sessions: rows, events: Object.fromEntries(events.rows.map(({ type, count }) => [type, count])) }
}
