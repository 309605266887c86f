import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { SUPERSEDED_MS } from '../../protocol/exchange/session-states.ts'
import type { Route } from '../../server/route.ts'
import { listRoutes, type RouteParts } from '../../server/routes.ts'
import { call, createToken, enrollTestDevice, establish, openExchange, type TestDevice } from '../support/api.ts'
import { databaseContents } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeApiToken } from '../support/tenants.ts'

/** A caller is authenticated when the headers come; what it asks for happens later, and until then it can lose its right. */

let service: TestService
const hold = createHold()

beforeAll(async () => {
  service = await startTestService({ wrapDatabase: hold.wrap })
})
afterAll(() => service.close())
beforeEach(() => service.tick())

/** Tells when a token has been looked up, and holds the next transaction of a service until it is let go. */
function createHold() {
  let lookedUp = () => {}
  let held: Promise<void> | undefined
  return {
    wrap: (database: Database): Database => ({
      ...database,
      async sendTransaction(...order) {
        const answer = await database.sendTransaction(...order)
        lookedUp()
        return answer
      },
      async withOrganization(organizationId, work) {
        const waiting = held
        held = undefined
        await waiting
        return database.withOrganization(organizationId, work)
      },
    }),
    nextLookUp: () => new Promise<void>((resolve) => (lookedUp = resolve)),
    nextTransaction(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>()
      held = promise
      return resolve
    },
  }
}

interface Ask {
  method: string
  path: string
  body?: unknown
  token: string
}

/** A request that has been authenticated, and goes on when the test says so: its body is under way, or its transaction. */
async function begin(ask: Ask): Promise<{ goOn: () => Promise<{ status: number; code: string | undefined }> }> {
  const payload = ask.body === undefined ? '' : JSON.stringify(ask.body)
  const authenticated = hold.nextLookUp()
  const release = payload === '' ? hold.nextTransaction() : () => {}
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; code: string | undefined }>()
  const sending = request(`${service.url}${ask.path}`, {
    method: ask.method,
    agent: false,
    headers: {
      authorization: `Bearer ${ask.token}`,
      ...(payload === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
    },
  })
  sending.on('error', reject)
  sending.on('response', (response) => {
    text(response).then((body) => {
      resolve({ status: response.statusCode ?? 0, code: body === '' ? undefined : JSON.parse(body).code })
    }, reject)
  })
  if (payload === '') sending.end()
  else sending.write(payload.slice(0, 1))
  await authenticated
  // What was looked up is judged in the same turn, by the time of then.
  await nextTurn()
  return {
    goOn() {
      if (payload !== '') sending.end(payload.slice(1))
      release()
      return promise
    },
  }
}

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
  'POST /v1/devices/:id/revoke': async () => ({ path: `${await newDevice()}/revoke`, body: {} }),
  'DELETE /v1/sessions/:id': async () => {
    const { sessionId } = await openExchange(service, await enrollTestDevice(service))
    return { path: `/v1/sessions/${sessionId}` }
  },
}

async function newDevice(): Promise<string> {
  return `/v1/devices/${(await enrollTestDevice(service)).deviceId}`
}

const changing = listRoutes({ crypto, metrics: {}, publishedKeys: {} } as unknown as RouteParts).filter(
  ({ method, access }) => method !== 'get' && !['anyone', 'machine', 'own'].includes(access),
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
    const before = await databaseContents(service)
    expect(await goOn()).toEqual({ status: 401, code: 'unauthenticated' })
    expect(await databaseContents(service)).toEqual(before)
  })

  test('does nothing for a token that expires while the request is under way', async () => {
    const { ask } = await beginWith(60)
    const { goOn } = await begin(ask)
    service.time.now += 60_000
    const before = await databaseContents(service)
    expect(await goOn()).toEqual({ status: 401, code: 'unauthenticated' })
    expect(await databaseContents(service)).toEqual(before)
  })

  test('is answered when nobody loses a right meanwhile, however late the rest of it comes', async () => {
    const { ask } = await beginWith(60)
    const { goOn } = await begin(ask)
    service.time.now += 59_999
    expect([200, 201, 204]).toContain((await goOn()).status)
  })
})

describe('of a device', () => {
  const ends: [string, (device: TestDevice, sessionId: string) => Promise<unknown>][] = [
    ['whose session is revoked', (_device, sessionId) => admin('DELETE', `/v1/sessions/${sessionId}`)],
    ['that is suspended', ({ deviceId }) => admin('POST', `/v1/devices/${deviceId}/suspend`, {})],
    [
      'that is suspended and resumed',
      async ({ deviceId }) => {
        await admin('POST', `/v1/devices/${deviceId}/suspend`, {})
        await admin('POST', `/v1/devices/${deviceId}/resume`, {})
      },
    ],
    ['that is revoked', ({ deviceId }) => admin('POST', `/v1/devices/${deviceId}/revoke`, {})],
    [
      'whose access token expires',
      async () => {
        service.time.now += 300_000
        await service.tick()
      },
    ],
    [
      'whose session is superseded for longer than its grace',
      async (device) => {
        await establish(service, device)
        service.time.now += SUPERSEDED_MS
      },
    ],
  ]

  test.each(ends)('%s in the meantime, nothing is changed', async (_what, end) => {
    for (const ownAsk of [
      (device: TestDevice) => ({
        method: 'PATCH',
        path: `/v1/devices/${device.deviceId}`,
        body: { metadata: { a: 1 } },
      }),
      ({ deviceId }: TestDevice) => ({ method: 'POST', path: `/v1/devices/${deviceId}/rotate-identity`, body: {} }),
      (_device: TestDevice, sessionId: string) => ({ method: 'DELETE', path: `/v1/sessions/${sessionId}` }),
    ]) {
      const device = await enrollTestDevice(service)
      const { sessionId, accessToken } = await establish(service, device)
      // Another one of its sessions, so that the one that it acts with is not what the request ends.
      const other = await openExchange(service, device)
      const { goOn } = await begin({ ...ownAsk(device, other.sessionId), token: accessToken })
      await end(device, sessionId)
      const before = await databaseContents(service)
      expect(await goOn()).toEqual({ status: 401, code: 'unauthenticated' })
      expect(await databaseContents(service)).toEqual(before)
    }
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
