import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import type { Route } from '../../server/route.ts'
import { listRoutes, type RouteParts } from '../../server/routes.ts'
import { call, createToken, enrollTestDevice, openExchange } from '../support/api.ts'
import { addAnchor, addCollateral, addReferenceValue, psaWish, referenceWish } from '../support/attestation-inputs.ts'
import { crlWish } from '../support/crl.ts'
import { createHeldRequests } from '../support/held-requests.ts'
import { addIncident, monitorWish } from '../support/incidents.ts'
import { awaitSigned } from '../support/offline-root.ts'
import { noneDocument } from '../support/policies.ts'
import { databaseContents } from '../support/refusals.ts'
import { crypto, noJobs, startTestService, type TestService } from '../support/service.ts'
import { makeApiToken } from '../support/tenants.ts'

/** A caller is authenticated when the headers come; what it asks for happens later, and until then it can lose its right. */

let service: TestService
/** What was put into the queues of jobs. */
const added: string[] = []
const { wrap, begin } = createHeldRequests(() => service)

beforeAll(async () => {
  const jobQueues = {
    ...noJobs,
    run: async (name: string) => void added.push(name),
    retry: async (id: string) => added.push(id) > 0,
  }
  service = await startTestService({ wrapDatabase: wrap, jobQueues })
})
afterAll(() => service.close())
beforeEach(() => service.tick())

const admin = (method: string, path: string, body?: unknown) =>
  call(service, method, path, { token: service.adminToken, body })

/** What is asked of each route that changes something in the name of an API token; a new route needs a line here. */
const asks: Record<string, () => Promise<{ path: string; body?: unknown }>> = {
  'POST /v1/organizations': async () => ({ path: '/v1/organizations', body: { name: 'made too late' } }),
  'POST /v1/api-tokens': async () => ({ path: '/v1/api-tokens', body: { name: 'too late', roles: ['admin'] } }),
  'DELETE /v1/api-tokens/:id': async () => ({
    path: `/v1/api-tokens/${(await makeApiToken(service, ['auditor'])).id}`,
  }),
  'POST /v1/enrollment-tokens': async () => ({ path: '/v1/enrollment-tokens', body: { kind: 'device' } }),
  'POST /v1/enrollment-tokens/bulk': async () => ({
    path: '/v1/enrollment-tokens/bulk',
    body: { items: [{ kind: 'device' }, { kind: 'coordinator' }] },
  }),
  'DELETE /v1/enrollment-tokens/:id': async () => ({
    path: `/v1/enrollment-tokens/${(await createToken(service)).id}`,
  }),
  'PATCH /v1/devices/:id': async () => ({
    path: await newDevice(),
    body: { name: 'too late', metadata: { late: true } },
  }),
  'POST /v1/devices/:id/suspend': async () => ({ path: `${await newDevice()}/suspend`, body: {} }),
  'POST /v1/devices/:id/resume': async () => {
    const path = await newDevice()
    await admin('POST', `${path}/suspend`, {})
    return { path: `${path}/resume`, body: {} }
  },
  'POST /v1/devices/:id/clear-quarantine': async () => {
    const path = await newDevice()
    // Nothing that a test device sends quarantines it.
    const id = path.split('/').at(-1)
    await service.database.sql.query(`update principal set status = 'QUARANTINED' where id = $1`, [id])
    return { path: `${path}/clear-quarantine`, body: {} }
  },
  'POST /v1/devices/:id/lift-restrictions': async () => {
    const path = await newDevice()
    const id = path.split('/').at(-1)
    await service.database.sql.query('update principal set attestation_required_since = now() where id = $1', [id])
    return { path: `${path}/lift-restrictions`, body: {} }
  },
  'POST /v1/policies': async () => ({ path: '/v1/policies', body: { name: newId(), policy: noneDocument } }),
  'POST /v1/trust-anchors': async () => ({ path: '/v1/trust-anchors', body: psaWish() }),
  'DELETE /v1/trust-anchors/:id': async () => ({ path: `/v1/trust-anchors/${await addAnchor(service)}` }),
  'POST /v1/collateral': async () => ({ path: '/v1/collateral', body: crlWish() }),
  'DELETE /v1/collateral/:id': async () => ({ path: `/v1/collateral/${await addCollateral(service)}` }),
  'POST /v1/reference-values': async () => ({ path: '/v1/reference-values', body: referenceWish() }),
  'DELETE /v1/reference-values/:id': async () => ({
    path: `/v1/reference-values/${await addReferenceValue(service)}`,
  }),
  'POST /v1/incidents/:id/acknowledge': async () => ({
    path: `/v1/incidents/${await addIncident(service)}/acknowledge`,
    body: {},
  }),
  'POST /v1/incidents/:id/resolve': async () => ({
    path: `/v1/incidents/${await addIncident(service)}/resolve`,
    body: {},
  }),
  'PUT /v1/monitor-settings': async () => ({ path: '/v1/monitor-settings', body: monitorWish() }),
  'POST /v1/devices/:id/revoke': async () => ({ path: `${await newDevice()}/revoke`, body: {} }),
  'DELETE /v1/sessions/:id': async () => {
    const { sessionId } = await openExchange(service, await enrollTestDevice(service))
    return { path: `/v1/sessions/${sessionId}` }
  },
  'POST /v1/federations': async () => ({ path: '/v1/federations', body: { name: 'made too late' } }),
  'PUT /v1/federations/:id/members/:deviceId': () => ofFederation('members', 'device'),
  'DELETE /v1/federations/:id/members/:deviceId': () => ofFederation('members', 'device', 'PUT'),
  'PUT /v1/federations/:id/coordinators/:principalId': () => ofFederation('coordinators', 'coordinator'),
  'DELETE /v1/federations/:id/coordinators/:principalId': () => ofFederation('coordinators', 'coordinator', 'PUT'),
  'POST /v1/federations/:id/rounds': async () => ({ path: `${await newFederation()}/rounds`, body: {} }),
  'POST /v1/jobs/:name/run': async () => ({ path: '/v1/jobs/idle/run', body: {} }),
  'POST /v1/jobs/failed/:run/retry': async () => ({ path: '/v1/jobs/failed/long:1/retry', body: {} }),
  'POST /v1/trust': async () => ({ path: '/v1/trust', body: await awaitSigned(service) }),
}

async function newDevice(): Promise<string> {
  return `/v1/devices/${(await enrollTestDevice(service)).deviceId}`
}

async function newFederation(): Promise<string> {
  return `/v1/federations/${(await admin('POST', '/v1/federations', { name: `federation ${newId()}` })).body.id}`
}

/** Somebody's place in a federation, which `before` makes or not. */
async function ofFederation(list: string, kind: 'device' | 'coordinator', before?: 'PUT'): Promise<{ path: string }> {
  const path = `${await newFederation()}/${list}/${(await enrollTestDevice(service, { kind })).deviceId}`
  if (before !== undefined) expect((await admin(before, path)).status).toBe(204)
  return { path }
}

/** What a request may have changed: rows, events among them, and the queues. */
async function contents() {
  return { ...(await databaseContents(service)), jobs: added.join() }
}

/** Routes for nobody with an API token. */
const withoutToken: readonly string[] = ['anyone', 'machine', 'own', 'coordinator_in_session', 'device_in_session']
const changing = listRoutes({ crypto, metrics: {}, publishedKeys: {} } as unknown as RouteParts).filter(
  ({ method, access }) => method !== 'get' && !withoutToken.includes(access),
)
const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>) => `${method.toUpperCase()} ${path}`

test('every route that changes something in the name of an API token is asked here', () => {
  expect(Object.keys(asks).toSorted()).toEqual(changing.map(nameOf).toSorted())
})

describe.each(changing.map((route) => [nameOf(route), route] as const))('%s', (name, route) => {
  async function beginWith(ttlSeconds?: number) {
    const { id, token } = await makeApiToken(service, ['admin'], ttlSeconds)
    // No token that the API makes may administer the service.
    if (route.access === 'service_admin')
      await service.database.sql.query('update api_token set service_admin = true where id = $1', [id])
    const ask = await (asks[name] as NonNullable<(typeof asks)[string]>)()
    return { id, ask: { method: route.method.toUpperCase(), ...ask, token } }
  }

  test('does nothing for a token that is revoked while the request is under way', async () => {
    const { id, ask } = await beginWith()
    const { goOn } = await begin(ask)
    expect((await admin('DELETE', `/v1/api-tokens/${id}`)).status).toBe(204)
    const before = await contents()
    expect(await goOn()).toEqual({ status: 401, code: 'unauthenticated' })
    expect(await contents()).toEqual(before)
  })

  test('does nothing for a token that expires while the request is under way', async () => {
    const { ask } = await beginWith(60)
    const { goOn } = await begin(ask)
    service.time.now += 60_000
    const before = await contents()
    expect(await goOn()).toEqual({ status: 401, code: 'unauthenticated' })
    expect(await contents()).toEqual(before)
  })

  test('is answered when nobody loses a right meanwhile, however late the rest of it comes', async () => {
    const { ask } = await beginWith(60)
    const { goOn } = await begin(ask)
    service.time.now += 59_999
    expect([200, 201, 202, 204]).toContain((await goOn()).status)
  })
})

describe('a revocation', () => {
  const operate = (token: string) => call(service, 'POST', '/v1/enrollment-tokens', { token, body: { kind: 'device' } })

  test('comes after what was begun before it and before what is begun after it, however busy the token is', async () => {
    const { id, token } = await makeApiToken(service, ['operator'])
    const { sql } = service.database
    // Every transaction stops at its event, until this one ends.
    await sql.query('begin')
    await sql.query('lock table audit_outbox in exclusive mode')
    const first = operate(token)
    await waiting(1)
    const revoked = admin('DELETE', `/v1/api-tokens/${id}`)
    await waiting(2)
    const later = Promise.all(Array.from({ length: 3 }, () => operate(token)))
    await waiting(5)
    await sql.query('commit')
    expect((await first).status).toBe(201)
    expect((await revoked).status).toBe(204)
    expect((await later).map(({ status }) => status)).toEqual([401, 401, 401])
  })

  test('of two admins by each other at once, and of one by itself several times, ends one after the other', async () => {
    for (let again = 0; again < 5; again++) {
      const [a, b] = [await makeApiToken(service, ['admin']), await makeApiToken(service, ['admin'])]
      const revoke = (token: string, id: string) => call(service, 'DELETE', `/v1/api-tokens/${id}`, { token })
      const mutual = await Promise.all([revoke(a.token, b.id), revoke(b.token, a.id)])
      expect(mutual.filter(({ status }) => status === 204)).toHaveLength(1)
      expect(mutual.filter(({ status }) => status === 401)).toHaveLength(1)
      const own = await makeApiToken(service, ['admin'])
      const answers = await Promise.all(Array.from({ length: 6 }, () => revoke(own.token, own.id)))
      expect(answers.filter(({ status }) => status === 204)).toHaveLength(1)
      expect(answers.filter(({ status }) => status === 401)).toHaveLength(5)
    }
  })

  /** Until so many connections of this database wait for a lock. */
  async function waiting(count: number): Promise<void> {
    const { sql } = service.database
    for (;;) {
      // A transaction keeps what it once saw of the others.
      await sql.query('select pg_stat_clear_snapshot()')
      const { rows } = await sql.query(
        `select count(*)::int as count from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
      if (rows[0].count >= count) return
      await sleep(5)
    }
  }
})
