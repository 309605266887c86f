import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ApiRole } from '../../protocol/api-roles.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { newId } from '../../runtime/ids.ts'
import { listRoutes, type RouteParts } from '../../server/routes.ts'
import { call, createToken, enrollTestDevice, establish, openExchange, type TestDevice } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeApiToken, makeTenant } from '../support/tenants.ts'

const callers = [
  'anonymous',
  'garbage',
  'wrongSecret',
  'expired',
  'revoked',
  'auditor',
  'coordinator',
  'operator',
  'admin',
  'serviceAdmin',
  'device',
  'otherDevice',
  'foreignAdmin',
] as const
type Caller = (typeof callers)[number]

let service: TestService
let tokens: Record<Caller, string | undefined>
let device: TestDevice
let otherDevice: TestDevice
let session: { id: string; token: string }

beforeAll(async () => {
  service = await startTestService()
  device = await enrollTestDevice(service)
  otherDevice = await enrollTestDevice(service)
  const established = await establish(service, device)
  session = { id: established.sessionId, token: established.accessToken }
  tokens = {
    anonymous: undefined,
    garbage: 'qf_nonsense',
    wrongSecret: `qf_${idOf(service.adminToken)}.${toBase64url(crypto.randomBytes(32))}`,
    expired: await makeToken('admin', service.time.now),
    revoked: await makeToken('admin'),
    auditor: await makeToken('auditor'),
    coordinator: await makeToken('coordinator'),
    operator: await makeToken('operator', service.time.now + 1),
    admin: await makeToken('admin'),
    serviceAdmin: service.adminToken,
    device: session.token,
    otherDevice: (await establish(service, otherDevice)).accessToken,
    foreignAdmin: (await makeTenant(service, 'foreign')).adminToken,
  }
  await call(service, 'DELETE', `/v1/api-tokens/${idOf(tokens.revoked as string)}`, { token: service.adminToken })
  await service.log.sequence()
})
afterAll(() => service.close())

async function makeToken(role: ApiRole, expiresAt?: number): Promise<string> {
  const { id, token } = await makeApiToken(service, [role])
  const { sql } = service.database
  if (expiresAt !== undefined)
    await sql.query('update api_token set expires_at = $2 where id = $1', [id, new Date(expiresAt)])
  return token
}

function idOf(apiToken: string): string {
  return apiToken.slice(3, 39)
}

type Outcomes = Record<Caller, number>
interface Row {
  /** Something of the organization `default`, and of `device` where it is a device's. Made anew for each caller. */
  path?: () => string | Promise<string>
  body?: unknown
  outcomes: Outcomes
}

const refused = {
  anonymous: 401,
  garbage: 401,
  wrongSecret: 401,
  expired: 401,
  revoked: 401,
  auditor: 403,
  coordinator: 403,
}
const everyone = (status: number) => Object.fromEntries(callers.map((caller) => [caller, status])) as Outcomes
const admins = (status: number, foreignAdmin: number): Outcomes => {
  const rest = { operator: 403, device: 403, otherDevice: 403, foreignAdmin }
  return { ...refused, ...rest, admin: status, serviceAdmin: status }
}
const serviceAdmins = (status: number): Outcomes => ({ ...admins(403, 403), serviceAdmin: status })
const operators = (status: number, foreignAdmin: number): Outcomes => {
  return { ...admins(status, foreignAdmin), operator: status }
}
const auditors = (status: number, foreignAdmin: number): Outcomes => {
  return { ...admins(status, foreignAdmin), auditor: status }
}
const operatorsAndOwn = (status: number, otherDevice: number, foreignAdmin: number): Outcomes => {
  return { ...operators(status, foreignAdmin), device: status, otherDevice }
}

const enrollmentToken = async () => (await createToken(service)).id
const pendingSession = async () => (await openExchange(service, device)).sessionId
const apiToken = async () => (await makeApiToken(service, ['auditor'])).id
const ofNewDevice = (action: string) => async () =>
  `/v1/devices/${(await enrollTestDevice(service)).deviceId}/${action}`
const eventPath = async () => {
  const { rows } = await service.database.sql.query(
    'select event_id from audit_event_id join organization o on o.id = organization_id where o.name = $1 limit 1',
    ['default'],
  )
  return `/v1/audit/events/${rows[0].event_id}`
}
const bytes = (length: number) => toBase64url(new Uint8Array(length))

/** What each caller gets on each route; of a route that anyone may call, only what its body proves makes a difference. */
const rows: Record<string, Row> = {
  'GET /live': { outcomes: everyone(200) },
  'GET /ready': { outcomes: everyone(200) },
  'GET /version': { outcomes: everyone(200) },
  'GET /metrics': { outcomes: everyone(200) },
  'GET /.well-known/jwks.json': { outcomes: everyone(200) },
  'GET /v1/trust': { outcomes: everyone(200) },
  'GET /v1/buckets': { outcomes: everyone(200) },
  'GET /openapi.json': { outcomes: everyone(200) },
  'GET /docs': { outcomes: everyone(200) },
  'GET /docs/:file': { path: () => '/docs/show.js', outcomes: everyone(200) },
  'POST /v1/organizations': { body: { name: 'another' }, outcomes: serviceAdmins(201) },
  'GET /v1/organizations': { outcomes: serviceAdmins(200) },
  'GET /v1/organizations/:id': {
    path: async () =>
      `/v1/organizations/${(await service.database.sql.query('select id from organization')).rows[0].id}`,
    outcomes: serviceAdmins(200),
  },
  'POST /v1/api-tokens': { body: { name: 'more', roles: ['admin'] }, outcomes: admins(201, 201) },
  'GET /v1/api-tokens': { outcomes: admins(200, 200) },
  'DELETE /v1/api-tokens/:id': { path: async () => `/v1/api-tokens/${await apiToken()}`, outcomes: admins(204, 404) },
  'POST /v1/enrollment-tokens': { body: { kind: 'device' }, outcomes: operators(201, 201) },
  'GET /v1/enrollment-tokens': { outcomes: operators(200, 200) },
  'POST /v1/enrollment-tokens/bulk': { body: { items: [{ kind: 'device' }] }, outcomes: operators(201, 201) },
  'GET /v1/enrollment-tokens/:id': {
    path: async () => `/v1/enrollment-tokens/${await enrollmentToken()}`,
    outcomes: operators(200, 404),
  },
  'DELETE /v1/enrollment-tokens/:id': {
    path: async () => `/v1/enrollment-tokens/${await enrollmentToken()}`,
    outcomes: operators(204, 404),
  },
  'POST /v1/enrollments': { body: { token: `${newId()}.${bytes(32)}` }, outcomes: everyone(401) },
  'POST /v1/enrollments/:id/complete': {
    path: () => `/v1/enrollments/${newId()}/complete`,
    body: {
      name: 'edge',
      kind: 'device',
      identityKey: { alg: 'ML-DSA-44', publicKey: bytes(1312) },
      evidence: [{ format: 'none' }],
      signature: bytes(2420),
    },
    outcomes: everyone(404),
  },
  'GET /v1/devices': { outcomes: operators(200, 200) },
  'GET /v1/devices/:id': { path: () => `/v1/devices/${device.deviceId}`, outcomes: operatorsAndOwn(200, 404, 404) },
  'PATCH /v1/devices/:id': {
    path: () => `/v1/devices/${device.deviceId}`,
    body: { metadata: {} },
    outcomes: operatorsAndOwn(200, 404, 404),
  },
  'POST /v1/devices/:id/suspend': { path: ofNewDevice('suspend'), body: {}, outcomes: operators(200, 404) },
  'POST /v1/devices/:id/resume': { path: ofNewDevice('resume'), body: {}, outcomes: operators(200, 404) },
  'POST /v1/devices/:id/revoke': { path: ofNewDevice('revoke'), body: {}, outcomes: operators(200, 404) },
  'POST /v1/devices/:id/rotate-identity': {
    path: () => `/v1/devices/${device.deviceId}/rotate-identity`,
    body: {},
    outcomes: { ...admins(403, 403), admin: 403, serviceAdmin: 403, device: 201, otherDevice: 404 },
  },
  'POST /v1/devices/:id/rotate-identity/:challengeId': {
    path: () => `/v1/devices/${device.deviceId}/rotate-identity/${newId()}`,
    body: {
      identityKey: { alg: 'ML-DSA-44', publicKey: bytes(1312) },
      evidence: [{ format: 'none' }],
      oldSignature: bytes(2420),
      newSignature: bytes(2420),
    },
    outcomes: everyone(404),
  },
  'POST /v1/exchanges': {
    body: {
      deviceId: newId(),
      suite: 'ML-KEM-1024',
      bucket: 1,
      nonce: bytes(32),
      clientKey: bytes(1568),
      ciphertext: bytes(1568),
      signature: bytes(2420),
    },
    outcomes: everyone(409),
  },
  'POST /v1/exchanges/:id/confirm': {
    path: () => `/v1/exchanges/${newId()}/confirm`,
    body: { deviceId: newId(), confirmation: bytes(64) },
    outcomes: everyone(404),
  },
  'POST /v1/sessions/:id/tokens': {
    path: () => `/v1/sessions/${newId()}/tokens`,
    body: { deviceId: newId(), epoch: 1, nonce: bytes(32), proof: bytes(64) },
    outcomes: everyone(404),
  },
  'GET /v1/sessions': { outcomes: operatorsAndOwn(200, 200, 200) },
  'GET /v1/sessions/:id': { path: () => `/v1/sessions/${session.id}`, outcomes: operatorsAndOwn(200, 404, 404) },
  'DELETE /v1/sessions/:id': {
    path: async () => `/v1/sessions/${await pendingSession()}`,
    outcomes: operatorsAndOwn(204, 404, 404),
  },
  'GET /v1/jobs': { outcomes: serviceAdmins(200) },
  'GET /v1/jobs/failed': { outcomes: serviceAdmins(200) },
  'POST /v1/jobs/failed/:id/retry': {
    path: () => '/v1/jobs/failed/long:1/retry',
    body: {},
    outcomes: serviceAdmins(202),
  },
  'POST /v1/jobs/:name/run': { path: () => '/v1/jobs/idle/run', body: {}, outcomes: serviceAdmins(202) },
  'GET /v1/audit/events': { outcomes: auditors(200, 200) },
  'GET /v1/audit/events/:id': { path: eventPath, outcomes: auditors(200, 404) },
  'GET /v1/audit/events/:id/proof': { path: async () => `${await eventPath()}/proof`, outcomes: auditors(200, 404) },
  'GET /v1/audit/export': { outcomes: auditors(200, 200) },
  'GET /v1/audit/checkpoint': { outcomes: everyone(200) },
  'GET /v1/audit/consistency': { path: () => '/v1/audit/consistency?from=1', outcomes: everyone(200) },
  'GET /v1/audit/tile/*path': { path: () => '/v1/audit/tile/0/000.p/1', outcomes: everyone(200) },
}

test('every route of the service has a row here, and every row a route', () => {
  const parts = { crypto, metrics: {}, publishedKeys: {} } as unknown as RouteParts
  const routes = listRoutes(parts).map(({ method, path }) => `${method.toUpperCase()} ${path}`)
  expect(Object.keys(rows).toSorted()).toEqual(routes.toSorted())
})

test.each(Object.entries(rows))('%s lets in exactly those who may', async (name, { path, body, outcomes }) => {
  const [method = '', template = ''] = name.split(' ')
  const answers: Partial<Outcomes> = {}
  for (const caller of callers) {
    const answer = await call(service, method, (await path?.()) ?? template, { token: tokens[caller], body })
    answers[caller] = answer.status
    if (outcomes[caller] === 403) expectRefusal(answer, 403, 'forbidden')
    if (outcomes[caller] === 401 && outcomes.admin !== 401) {
      expectRefusal(answer, 401, 'unauthenticated')
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    }
  }
  expect(answers).toEqual(outcomes)
})

describe('credentials', () => {
  const ask = (authorization: string) =>
    call(service, 'GET', '/v1/sessions', { headers: { authorization } }).then(({ status }) => status)

  test('are a Bearer token and nothing else', async () => {
    expect(await ask(`bearer ${service.adminToken}`)).toBe(200)
    const secret = service.adminToken.slice(3)
    const basic = Buffer.from(`:${service.adminToken}`).toString('base64')
    for (const text of [
      service.adminToken,
      `Basic ${basic}`,
      'Bearer',
      'Bearer ',
      `Bearer  ${service.adminToken}`,
      `Bearer ${service.adminToken},`,
      `Bearer ${service.adminToken} ${service.adminToken}`,
      `Bearer ${service.adminToken}, Bearer ${service.adminToken}`,
      `Bearer ${service.adminToken}.`,
      `Bearer ${service.adminToken}${'A'.repeat(4000)}`,
      `Bearer ${service.adminToken.slice(0, -1)}`,
      `Bearer QF_${secret}`,
      `Bearer ${secret}`,
      `Bearer qf_${secret.split('.')[0]}`,
      `Bearer qf_${secret.split('.')[0]}.`,
      `Bearer qf_${idOf(tokens.operator as string)}.${secret.split('.')[1]}`,
      `Bearer qs_${secret}`,
    ]) {
      expect({ text, status: await ask(text) }).toEqual({ text, status: 401 })
    }
  })

  test('of a device are void when one bit of them differs', async () => {
    const bytes = Buffer.from(session.token.slice(3), 'base64url')
    expect(await ask(`Bearer qs_${bytes.toString('base64url')}`)).toBe(200)
    for (const at of [0, 1, 2, 17, 18, 33, 34, 49, 50, 57, 58, 89]) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] as number) ^ 1
      expect({ at, status: await ask(`Bearer qs_${changed.toString('base64url')}`) }).toEqual({ at, status: 401 })
    }
  })
})
