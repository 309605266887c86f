import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { newId } from '../../runtime/ids.ts'
import { listRoutes, type RouteParts } from '../../server/routes.ts'
import { call, enrollTestDevice, establish, type TestDevice } from '../support/api.ts'
import { startRotation } from '../support/identity-rotation.ts'
import { databaseContents } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { type Belongings, eventsOf, furnish, makeTenant, type Tenant } from '../support/tenants.ts'

/** Two organizations that were made over HTTP, with one of everything each; A looks at what is B's. */

const routes = listRoutes({ crypto, metrics: {}, publishedKeys: {} } as unknown as RouteParts)
const name = ({ method, path }: { method: string; path: string }) => `${method.toUpperCase()} ${path}`
/** Jobs are the service's own. */
const routesOfOne = routes.filter(({ path }) => path.includes('/:id') && !path.startsWith('/v1/jobs'))
/** A stream is none (revocations.test.ts), nor is what an organization has one of, or a few of the highest (incidents-tenants.test.ts). */
const noLists = ['/v1/revocations', '/v1/monitor-settings', '/v1/threat-scores']
const lists = routes.filter(
  ({ method, path, access }) =>
    method === 'get' &&
    path.startsWith('/v1/') &&
    !noLists.includes(path) &&
    /operator|admin/.test(access) &&
    !path.includes(':'),
)

let service: TestService
let a: Tenant
let b: Tenant
let ofA: Belongings
let ofB: Belongings
let neighbour: TestDevice

beforeAll(async () => {
  service = await startTestService({ maxConnections: 2 })
  a = await makeTenant(service, 'a')
  b = await makeTenant(service, 'b')
  ofA = await furnish(a)
  ofB = await furnish(b)
  neighbour = await enrollTestDevice(a)
  await startRotation(b, ofB.device, ofB.accessToken)
})
afterAll(() => service.close())

const bytes = (length: number) => toBase64url(new Uint8Array(length))

/** Well-formed bodies, so that nothing but the id can be refused. */
function bodyOf(route: string): unknown {
  const bodies: Record<string, unknown> = {
    'PATCH /v1/devices/:id': { metadata: { note: 'mine now' } },
    'POST /v1/devices/:id/suspend': {},
    'POST /v1/devices/:id/resume': {},
    'POST /v1/devices/:id/clear-quarantine': {},
    'POST /v1/devices/:id/lift-restrictions': {},
    'POST /v1/devices/:id/revoke': {},
    'POST /v1/devices/:id/rotate-identity': {},
    'POST /v1/devices/:id/rotate-identity/:challengeId': {
      identityKey: { alg: 'ML-DSA-44', publicKey: bytes(1312) },
      evidence: [{ format: 'none' }],
      oldSignature: bytes(2420),
      newSignature: bytes(2420),
    },
    'POST /v1/attestations/:id': { evidence: [{ format: 'none' }], signature: bytes(2420) },
    'POST /v1/enrollments/:id/credential': {},
    'POST /v1/incidents/:id/acknowledge': {},
    'POST /v1/incidents/:id/resolve': {},
    'POST /v1/exchanges/:id/confirm': { deviceId: ofA.device.deviceId, confirmation: bytes(64) },
    'POST /v1/sessions/:id/tokens': { deviceId: ofA.device.deviceId, epoch: 1, nonce: bytes(32), proof: bytes(64) },
    'POST /v1/enrollments/:id/complete': {
      name: 'edge',
      kind: 'device',
      identityKey: { alg: 'ML-DSA-44', publicKey: bytes(1312) },
      evidence: [{ format: 'none' }],
      signature: bytes(2420),
    },
    'POST /v1/federations/:id/rounds': {},
    'POST /v1/federations/:id/rounds/:round/keys': {},
    'POST /v1/federations/:id/rounds/:round/close': {},
    'POST /v1/federations/:id/rounds/:round/membership': { status: 'epoch_gone' },
  }
  return bodies[route]
}

/** What the path names besides is of B too. */
function urlOf(path: string, id: string): string {
  const { deviceId } = ofB.device
  const principalId = ofB.coordinator.deviceId
  const parts: Record<string, string> = { round: '1', deviceId, principalId, challengeId: newId() }
  return path.replace(':id', id).replace(/:(\w+)/g, (_, part: string) => parts[part] ?? '')
}

/** Who is let in by the access of a route, so that what it answers is what the service says. */
const mayAsk: Record<string, RegExp> = {
  admin: /^(?!service_admin$|own$|.*_in_session$)/,
  coordinator: /coordinator/,
  device: /^device_in_session$|own$/,
}

/** Everything that a caller can compare. */
async function ask(method: string, url: string, token: string | undefined, body: unknown) {
  const answer = await call(service, method.toUpperCase(), url, { token, body })
  const { requestId: _id, ...problem } = answer.body
  const { date: _date, 'x-request-id': _requestId, ...headers } = Object.fromEntries(answer.headers)
  return { status: answer.status, problem, headers }
}

test.each(routesOfOne.map((route) => [name(route), route] as const))(
  '%s answers what is another organization’s, or another device’s, as what does not exist',
  async (route, { method, path, access }) => {
    const foreign = ofB.ids[path.slice(0, path.indexOf('/:id'))]
    expect(foreign, 'tests/support/tenants.ts: `furnish` makes one of these').toBeDefined()
    const before = await databaseContents(service)
    const eventsOfB = await eventsOf(service, b.organizationId)
    const callers = {
      admin: a.adminToken,
      device: ofA.accessToken,
      coordinator: ofA.coordinator.accessToken,
      nobody: undefined,
    }
    for (const [caller, token] of Object.entries(callers)) {
      const answers = []
      for (const id of [newId(), foreign as string]) {
        answers.push(await ask(method, urlOf(path, id), token, bodyOf(route)))
      }
      expect(answers[1], caller).toEqual(answers[0])
      if (mayAsk[caller]?.test(access)) {
        expect(answers[0]).toMatchObject({ status: 404, problem: { code: 'not_found' } })
      }
      if ((access === 'operator_or_own' || access === 'own') && caller === 'device') {
        const ofNeighbour = path.startsWith('/v1/sessions')
          ? (await establish(a, neighbour)).sessionId
          : neighbour.deviceId
        expect(await ask(method, path.replace(':id', ofNeighbour), token, bodyOf(route))).toEqual(answers[0])
      }
    }
    if (path.startsWith('/v1/sessions')) return
    // That somebody asked for more than is his may be told to his own organization, and nothing else is new.
    const { audit_outbox: _events, ...after } = await databaseContents(service)
    expect(before).toMatchObject(after)
    expect(await eventsOf(service, b.organizationId)).toEqual(eventsOfB)
  },
)

describe('a list', () => {
  async function list(tenant: Tenant, path: string, query = ''): Promise<string[]> {
    const { status, body } = await call(service, 'GET', `${path}${query}`, { token: tenant.adminToken })
    expect(status).toBe(200)
    return body.items.map(({ id }: { id: string }) => id)
  }

  test.each(lists.filter(({ access }) => access !== 'service_admin').map(({ path }) => path))(
    '%s shows an organization what is its own, from every cursor',
    async (path) => {
      const foreign = await list(b, path)
      expect(foreign).toContain(ofB.ids[path])
      const own = await list(a, path)
      expect(own).toContain(ofA.ids[path])
      for (const id of [...foreign, newId(), 'ffffffff-ffff-ffff-ffff-ffffffffffff']) {
        const cursor = toBase64url(new TextEncoder().encode(id))
        for (const shown of await list(a, path, `?cursor=${cursor}`)) expect(own).toContain(shown)
      }
    },
  )

  test('of organizations is for administrators of the service, whom it shows nothing but names', async () => {
    for (const token of [a.adminToken, ofA.accessToken]) {
      expect((await call(service, 'GET', '/v1/organizations', { token })).status).toBe(403)
    }
    const { body } = await call(service, 'GET', '/v1/organizations', { token: service.adminToken })
    expect(body.items.map(Object.keys)).toEqual([1, 2, 3].map(() => ['id', 'name', 'createdAt']))
    const device = `/v1/devices/${ofB.ids['/v1/devices']}`
    expect((await call(service, 'GET', device, { token: service.adminToken })).status).toBe(404)
  })

  test('of sessions shows a device its own only, whatever it asks for', async () => {
    const { accessToken } = await establish(a, neighbour)
    for (const query of ['', `?deviceId=${ofA.device.deviceId}`, `?deviceId=${ofB.device.deviceId}`]) {
      const { body } = await call(service, 'GET', `/v1/sessions${query}`, { token: accessToken })
      const owners = body.items.map(({ deviceId }: { deviceId: string }) => deviceId)
      expect(new Set(owners)).toEqual(new Set([neighbour.deviceId]))
    }
    expect(await list(a, '/v1/sessions', `?deviceId=${ofB.device.deviceId}`)).toEqual([])
  })
})

test('requests of two organizations at once, over two connections, each see their own', async () => {
  const seen = await Promise.all(
    Array.from({ length: 120 }, async (_, i) => {
      const tenant = i % 2 === 0 ? a : b
      const { body } = await call(service, 'GET', '/v1/devices', { token: tenant.adminToken })
      return body.items.map(({ spiffeId }: { spiffeId: string }) => [i % 2, spiffeId.split('/')[4]])
    }),
  )
  expect(new Set(seen.flat().map(String))).toEqual(new Set([`0,${a.organizationId}`, `1,${b.organizationId}`]))
})
