import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SUPERSEDED_MS } from '../../protocol/exchange/session-states.ts'
import type { Access, Route } from '../../server/route.ts'
import { listRoutes, type RouteParts } from '../../server/routes.ts'
import { call, enrollTestDevice, establish, openExchange } from '../support/api.ts'
import { signAttestation, startAttestation } from '../support/attestation.ts'
import { createHeldRequests } from '../support/held-requests.ts'
import { databaseContents } from '../support/refusals.ts'
import { askKeys, enterService, makeFederation, openRound, type TestParty } from '../support/rounds.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

/** A device or coordinator is authenticated when the headers come, and its session can end before what it asks for happens. */

let service: TestService
const { wrap, begin, beginUntil } = createHeldRequests(() => service)

beforeAll(async () => {
  service = await startTestService({ wrapDatabase: wrap })
})
afterAll(() => service.close())
beforeEach(() => service.tick())

const admin = (method: string, path: string, body?: unknown) =>
  call(service, method, path, { token: service.adminToken, body })

const ends: [string, (party: TestParty) => Promise<unknown>][] = [
  ['whose session is revoked', ({ sessionId }) => admin('DELETE', `/v1/sessions/${sessionId}`)],
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
    async (party) => {
      await establish(service, party)
      service.time.now += SUPERSEDED_MS
    },
  ],
]

interface SessionAsk {
  party: TestParty
  path: string
  body?: unknown
}

/** What is asked of each route that changes something in the name of a session; a new route needs a line here. */
const asks: Record<string, () => Promise<SessionAsk>> = {
  'PATCH /v1/devices/:id': async () => {
    const party = await enterService(service)
    return { party, path: `/v1/devices/${party.deviceId}`, body: { metadata: { a: 1 } } }
  },
  'POST /v1/devices/:id/rotate-identity': async () => {
    const party = await enterService(service)
    return { party, path: `/v1/devices/${party.deviceId}/rotate-identity`, body: {} }
  },
  'POST /v1/attestations': async () => ({ party: await enterService(service), path: '/v1/attestations', body: {} }),
  'POST /v1/attestations/:id': async () => {
    const party = await enterService(service)
    const started = await startAttestation(service, party)
    return { party, path: `/v1/attestations/${started.attestationId}`, body: signAttestation(party, started) }
  },
  'DELETE /v1/sessions/:id': async () => {
    const party = await enterService(service)
    // Another one of its sessions, so that the one that it acts with is not what the request ends.
    return { party, path: `/v1/sessions/${(await openExchange(service, party)).sessionId}` }
  },
  'POST /v1/federations': async () => {
    const party = await enterService(service, 'coordinator')
    return { party, path: '/v1/federations', body: { name: `of ${party.deviceId}` } }
  },
  'PUT /v1/federations/:id/members/:deviceId': () => ofFederation('members', 'device'),
  'DELETE /v1/federations/:id/members/:deviceId': () => ofFederation('members', 'device', 'PUT'),
  'PUT /v1/federations/:id/coordinators/:principalId': () => ofFederation('coordinators', 'coordinator'),
  'DELETE /v1/federations/:id/coordinators/:principalId': () => ofFederation('coordinators', 'coordinator', 'PUT'),
  'POST /v1/federations/:id/rounds': async () => {
    const party = await enterService(service, 'coordinator')
    return { party, path: `${(await makeFederation(service, party)).path}/rounds`, body: {} }
  },
  'POST /v1/federations/:id/rounds/:round/keys': async () => {
    const { party, path } = await furnishRound()
    return { party, path: `${path}/keys`, body: {} }
  },
  'POST /v1/federations/:id/rounds/:round/close': async () => {
    const { party, path } = await furnishRound()
    return { party, path: `${path}/close`, body: {} }
  },
  'POST /v1/federations/:id/rounds/:round/membership': async () => {
    const { party, device, path } = await furnishRound()
    expect((await askKeys(service, party, { path })).status).toBe(200)
    return { party: device, path: `${path}/membership`, body: { status: 'epoch_gone' } }
  },
}

/** Somebody's place in a federation of its coordinator, which `before` makes or not. */
async function ofFederation(list: string, kind: 'device' | 'coordinator', before?: 'PUT'): Promise<SessionAsk> {
  const party = await enterService(service, 'coordinator')
  const { path: federation } = await makeFederation(service, party)
  const path = `${federation}/${list}/${(await enrollTestDevice(service, { kind })).deviceId}`
  if (before !== undefined) expect((await admin(before, path)).status).toBe(204)
  return { party, path }
}

async function furnishRound(): Promise<{ party: TestParty; device: TestParty; path: string }> {
  const [party, device] = [await enterService(service, 'coordinator'), await enterService(service)]
  const { path } = await openRound(service, party, await makeFederation(service, party, [device]))
  return { party, device, path }
}

async function ask(name: string) {
  const { party, ...rest } = await (asks[name] as NonNullable<(typeof asks)[string]>)()
  return { party, asked: { method: name.split(' ', 1)[0] as string, ...rest, token: party.accessToken } }
}

const inSession: readonly Access[] = [
  'own',
  'operator_or_own',
  'coordinator',
  'operator_or_coordinator',
  'coordinator_in_session',
  'device_in_session',
]

const changing = listRoutes({ crypto, metrics: {}, publishedKeys: {} } as unknown as RouteParts).filter(
  ({ method, access }) => method !== 'get' && inSession.includes(access),
)
const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>) => `${method.toUpperCase()} ${path}`

test('every route that changes something in the name of a session is asked here', () => {
  expect(Object.keys(asks).toSorted()).toEqual(changing.map(nameOf).toSorted())
})

/** Those that first see whether their coordinator may be in the round, with the transactions that come before the one that changes. */
const admitting: Record<string, number> = {
  'POST /v1/federations/:id/rounds/:round/keys': 2,
  'POST /v1/federations/:id/rounds/:round/close': 1,
}

const named = changing.map((route) => [nameOf(route), route] as const)

describe.each(named)('%s', (name, { access, looksUpSession }) => {
  // Of those that an API token may ask too one end is enough to show that they look again: all do it in `changeAs`.
  const some = ['coordinator', 'operator_or_coordinator'].includes(access) ? ends.slice(0, 1) : ends
  const refusals = [
    { status: 401, code: 'unauthenticated' },
    ...(name in admitting ? [{ status: 409, code: 'session_state' }] : []),
    // A challenge lives as long as an access token, and is looked at first.
    ...(name === 'POST /v1/attestations/:id' ? [{ status: 409, code: 'challenge_expired' }] : []),
  ]

  test.each(some)('does nothing for one %s while the request is under way', async (_what, end) => {
    const { party, asked } = await ask(name)
    const { goOn } = await begin(asked, looksUpSession)
    await end(party)
    const before = await databaseContents(service)
    expect(refusals).toContainEqual(await goOn())
    expect(await databaseContents(service)).toEqual(before)
  })

  test('is answered in a session that goes on, however late the rest of it comes', async () => {
    const { asked } = await ask(name)
    const { goOn } = await begin(asked, looksUpSession)
    service.time.now += 30_000
    expect([200, 201, 204]).toContain((await goOn()).status)
  })
})

describe.each(Object.entries(admitting))('%s', (name, transactions) => {
  test.each(ends)('does nothing for one %s when it has been admitted to the round', async (_what, end) => {
    const { party, asked } = await ask(name)
    const { goOn } = await beginUntil(asked, transactions)
    await end(party)
    const before = await databaseContents(service)
    expect(await goOn()).toEqual({ status: 401, code: 'unauthenticated' })
    expect(await databaseContents(service)).toEqual(before)
  })
})
