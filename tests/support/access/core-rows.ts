import { newId } from '../../../runtime/ids.ts'
import { createToken, enrollTestDevice, openExchange } from '../api.ts'
import { makeApiToken } from '../tenants.ts'
import { admins, everyone, inSession, operators, operatorsAndOwn, type Row, serviceAdmins } from './outcomes.ts'
import { type AccessWorld, zeroBytes as bytes } from './world.ts'

/** Who may call what of organizations, tokens, devices, exchanges and sessions. */
export function coreRows(world: AccessWorld): Record<string, Row> {
  const enrollmentToken = async () => (await createToken(world.service)).id
  const pendingSession = async () => (await openExchange(world.service, world.device)).sessionId
  const apiToken = async () => (await makeApiToken(world.service, ['auditor'])).id
  const ofNewDevice = (action: string) => async () =>
    `/v1/devices/${(await enrollTestDevice(world.service)).deviceId}/${action}`

  return {
    'GET /live': { outcomes: everyone(200) },
    'GET /ready': { outcomes: everyone(200) },
    'GET /version': { outcomes: everyone(200) },
    'GET /metrics': { outcomes: everyone(200) },
    'GET /.well-known/jwks.json': { outcomes: everyone(200) },
    'GET /.well-known/security.txt': { outcomes: everyone(200) },
    'GET /v1/trust': { outcomes: everyone(200) },
    'GET /v1/buckets': { outcomes: everyone(200) },
    'GET /openapi.json': { outcomes: everyone(200) },
    'GET /docs': { outcomes: everyone(200) },
    'GET /docs/:file': { path: () => '/docs/show.js', outcomes: everyone(200) },
    'POST /v1/organizations': { body: { name: 'another' }, outcomes: serviceAdmins(201) },
    'GET /v1/organizations': { outcomes: serviceAdmins(200) },
    'GET /v1/organizations/:id': {
      path: async () =>
        `/v1/organizations/${(await world.service.database.sql.query('select id from organization')).rows[0].id}`,
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
    'GET /v1/devices/:id': {
      path: () => `/v1/devices/${world.device.deviceId}`,
      outcomes: operatorsAndOwn(200, 404, 404),
    },
    'PATCH /v1/devices/:id': {
      path: () => `/v1/devices/${world.device.deviceId}`,
      body: { metadata: {} },
      outcomes: operatorsAndOwn(200, 404, 404),
    },
    'POST /v1/devices/:id/suspend': { path: ofNewDevice('suspend'), body: {}, outcomes: operators(200, 404) },
    'POST /v1/devices/:id/resume': { path: ofNewDevice('resume'), body: {}, outcomes: operators(200, 404) },
    'POST /v1/devices/:id/clear-quarantine': {
      path: ofNewDevice('clear-quarantine'),
      body: {},
      outcomes: operators(200, 404),
    },
    'POST /v1/devices/:id/lift-restrictions': {
      path: ofNewDevice('lift-restrictions'),
      body: {},
      outcomes: operators(200, 404),
    },
    'POST /v1/devices/:id/revoke': { path: ofNewDevice('revoke'), body: {}, outcomes: operators(200, 404) },
    'POST /v1/devices/:id/rotate-identity': {
      path: () => `/v1/devices/${world.device.deviceId}/rotate-identity`,
      body: {},
      outcomes: inSession({ device: 201, otherDevice: 404, coordinatorInSession: 404, otherCoordinator: 404 }),
    },
    'POST /v1/devices/:id/rotate-identity/:challengeId': {
      path: () => `/v1/devices/${world.device.deviceId}/rotate-identity/${newId()}`,
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
    'GET /v1/sessions/:id': {
      path: () => `/v1/sessions/${world.session.id}`,
      outcomes: operatorsAndOwn(200, 404, 404),
    },
    'DELETE /v1/sessions/:id': {
      path: async () => `/v1/sessions/${await pendingSession()}`,
      outcomes: operatorsAndOwn(204, 404, 404),
    },
  }
}
