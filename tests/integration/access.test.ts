import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ApiRole } from '../../protocol/api-roles.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { newId } from '../../runtime/ids.ts'
import { listRoutes, type RouteParts } from '../../server/routes.ts'
import {
  admins,
  auditors,
  type Caller,
  callers,
  coordinators,
  everyone,
  inSession,
  type Outcomes,
  operators,
  operatorsAndCoordinators,
  operatorsAndOwn,
  type Row,
  serviceAdmins,
} from '../support/access-outcomes.ts'
import { call, createToken, enrollTestDevice, establish, openExchange, type TestDevice } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import {
  askKeys,
  enterService,
  makeFederation,
  openRound,
  type TestFederation,
  type TestParty,
} from '../support/rounds.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeApiToken, makeTenant } from '../support/tenants.ts'

let service: TestService
let tokens: Record<Caller, string | undefined>
let device: TestDevice
let otherDevice: TestDevice
let session: { id: string; token: string }
let coordinator: TestParty
let federation: TestFederation

beforeAll(async () => {
  service = await startTestService()
  device = await enrollTestDevice(service)
  otherDevice = await enrollTestDevice(service)
  const established = await establish(service, device)
  session = { id: established.sessionId, token: established.accessToken }
  coordinator = await enterService(service, 'coordinator')
  federation = await makeFederation(service, coordinator, [device])
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
    coordinatorInSession: coordinator.accessToken,
    otherCoordinator: (await enterService(service, 'coordinator')).accessToken,
    foreignAdmin: (await makeTenant(service, 'foreign')).adminToken,
  }
  await call(service, 'DELETE', `/v1/api-tokens/${idOf(tokens.revoked as string)}`, { token: service.adminToken })
  await service.log.sequence()
})
afterAll(() => service.close())

async function makeToken(role: ApiRole, expiresAt?: number): Promise<string> {
  const { id, token } = await makeApiToken(service, [role])
  const update = 'update api_token set expires_at = $2 where id = $1'
  if (expiresAt !== undefined) await service.database.sql.query(update, [id, new Date(expiresAt)])
  return token
}

const idOf = (apiToken: string) => apiToken.slice(3, 39)

const enrollmentToken = async () => (await createToken(service)).id
const pendingSession = async () => (await openExchange(service, device)).sessionId
const apiToken = async () => (await makeApiToken(service, ['auditor'])).id
const ofNewDevice = (action: string) => async () =>
  `/v1/devices/${(await enrollTestDevice(service)).deviceId}/${action}`
const ofFederation = (what: string) => () => `${federation.path}/${what}`
/** A round in which `device` was given a key. */
const ofRound = (what: string) => async () => {
  const round = await openRound(service, coordinator, federation)
  await askKeys(service, coordinator, round)
  return `${round.path}${what}`
}
const eventPath = async () => {
  const { rows } = await service.database.sql.query(
    'select event_id from audit_event_id join organization o on o.id = organization_id where o.name = $1 limit 1',
    ['default'],
  )
  return `/v1/audit/events/${rows[0].event_id}`
}
const newestTrust = async () => (await call(service, 'GET', '/v1/trust')).body.items.at(-1)
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
    outcomes: inSession({ device: 201, otherDevice: 404, coordinatorInSession: 404, otherCoordinator: 404 }),
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
  'POST /v1/federations': {
    body: () => ({ name: newId() }),
    outcomes: { ...coordinators(201), coordinator: 201, otherCoordinator: 201, foreignAdmin: 201 },
  },
  'GET /v1/federations': {
    outcomes: { ...operatorsAndCoordinators(200), coordinator: 200, otherCoordinator: 200, foreignAdmin: 200 },
  },
  'GET /v1/federations/:id': { path: () => federation.path, outcomes: operatorsAndCoordinators(200) },
  'GET /v1/federations/:id/members': { path: ofFederation('members'), outcomes: operatorsAndCoordinators(200) },
  'PUT /v1/federations/:id/members/:deviceId': {
    path: () => `${federation.path}/members/${device.deviceId}`,
    outcomes: coordinators(204),
  },
  'DELETE /v1/federations/:id/members/:deviceId': {
    path: () => `${federation.path}/members/${otherDevice.deviceId}`,
    outcomes: coordinators(204),
  },
  'PUT /v1/federations/:id/coordinators/:principalId': {
    path: () => `${federation.path}/coordinators/${coordinator.deviceId}`,
    outcomes: operatorsAndCoordinators(204),
  },
  'DELETE /v1/federations/:id/coordinators/:principalId': {
    path: async () =>
      `${federation.path}/coordinators/${(await enrollTestDevice(service, { kind: 'coordinator' })).deviceId}`,
    outcomes: operatorsAndCoordinators(204),
  },
  'POST /v1/federations/:id/rounds': { path: ofFederation('rounds'), body: {}, outcomes: coordinators(201) },
  'GET /v1/federations/:id/rounds': { path: ofFederation('rounds'), outcomes: operatorsAndCoordinators(200) },
  'GET /v1/federations/:id/rounds/:round': { path: ofRound(''), outcomes: operatorsAndCoordinators(200) },
  'GET /v1/federations/:id/rounds/:round/participants': {
    path: ofRound('/participants'),
    outcomes: operatorsAndCoordinators(200),
  },
  'POST /v1/federations/:id/rounds/:round/keys': {
    path: ofRound('/keys'),
    body: {},
    outcomes: inSession({ coordinatorInSession: 200, otherCoordinator: 404 }),
  },
  'POST /v1/federations/:id/rounds/:round/close': {
    path: ofRound('/close'),
    body: {},
    outcomes: inSession({ coordinatorInSession: 200, otherCoordinator: 404 }),
  },
  'GET /v1/federations/:id/rounds/:round/certificate': {
    path: async () => {
      const path = await ofRound('')()
      await call(service, 'POST', `${path}/close`, { token: coordinator.accessToken, body: {} })
      return `${path}/certificate`
    },
    outcomes: { ...operatorsAndCoordinators(200), auditor: 200 },
  },
  'GET /v1/federations/:id/rounds/:round/membership': {
    path: ofRound('/membership'),
    outcomes: inSession({ device: 200, otherDevice: 404 }),
  },
  'POST /v1/federations/:id/rounds/:round/membership': {
    path: ofRound('/membership'),
    body: { status: 'epoch_gone' },
    outcomes: inSession({ device: 204, otherDevice: 404 }),
  },
  'GET /v1/jobs': { outcomes: serviceAdmins(200) },
  'GET /v1/jobs/failed': { outcomes: serviceAdmins(200) },
  'POST /v1/jobs/failed/:id/retry': {
    path: () => '/v1/jobs/failed/long:1/retry',
    body: {},
    outcomes: serviceAdmins(202),
  },
  'POST /v1/jobs/:name/run': { path: () => '/v1/jobs/idle/run', body: {}, outcomes: serviceAdmins(202) },
  'GET /v1/trust/draft': { outcomes: serviceAdmins(200) },
  'POST /v1/trust': { body: newestTrust, outcomes: serviceAdmins(200) },
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
    const sent = typeof body === 'function' ? await body() : body
    const answer = await call(service, method, (await path?.()) ?? template, { token: tokens[caller], body: sent })
    answers[caller] = answer.status
    if (outcomes[caller] === 403) expectRefusal(answer, 403, 'forbidden')
    if (outcomes[caller] === 401 && outcomes.admin !== 401) {
      expectRefusal(answer, 401, 'unauthenticated')
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    }
  }
  expect(answers).toEqual(outcomes)
})
