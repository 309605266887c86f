import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { openOperator } from '../../../client/operator.ts'
import { allPages } from '../../../client/pages.ts'
import { codeOf } from './setup.ts'

const id = '0199b0a4-7e1c-7000-8000-000000000001'
const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections()
})

/** An operator of a server that gives `answers` one after the other; `seen` are the requests, `sent` their bodies. */
async function operatorOf(...answers: unknown[]) {
  const seen: string[] = []
  const sent: unknown[] = []
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization}`)
    const body = await text(request)
    if (body !== '') sent.push(JSON.parse(body))
    const next = answers.shift()
    if (next === undefined) response.writeHead(204).end()
    else response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(next))
  }
  const server = createServer((request, response) => void answer(request, response))
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { operator: openOperator({ url, apiToken: 'qf_a.b' }), seen, sent }
}

const session = {
  id,
  deviceId: id,
  state: 'ACTIVE',
  suite: 'ML-KEM-1024',
  bucket: 1,
  createdAt: 1,
  confirmedAt: null,
  expiresAt: 2,
  epochs: { first: 1, last: 2 },
}

const deviceOf = (status: string) => ({
  id,
  name: 'c 1',
  kind: 'device',
  type: 'camera',
  capabilities: ['cuda'],
  status,
  spiffeId: 'spiffe://test.example/device',
  identityKey: { kid: 'k', alg: 'ML-DSA-44', publicKey: 'p', since: 1, rotationDueSince: null },
  activeSessionId: null,
  metadata: {},
  createdAt: 1,
  slowedUntil: null,
  attestationRequiredSince: null,
  lastSeenAt: null,
})

describe('an operator', () => {
  it('sends the API token and the query as it was asked', async () => {
    const { operator, seen } = await operatorOf(
      { items: [session], nextCursor: null },
      { items: [], nextCursor: null },
      { items: [], nextCursor: null },
    )
    expect((await operator.listSessions({ deviceId: id, limit: 5 })).items).toEqual([session])
    await operator.listDevices({ status: 'A&B', cursor: undefined })
    await operator.listEnrollmentTokens()
    await operator.revokeEnrollmentToken('../devices')
    expect(seen).toEqual([
      `GET /v1/sessions?deviceId=${id}&limit=5 Bearer qf_a.b`,
      'GET /v1/devices?status=A%26B Bearer qf_a.b',
      'GET /v1/enrollment-tokens Bearer qf_a.b',
      'DELETE /v1/enrollment-tokens/..%2Fdevices Bearer qf_a.b',
    ])
  })

  it('asks for organizations, API tokens and many enrolment tokens as the API takes it', async () => {
    const made = { id, token: 'qf_c.d', expiresAt: null }
    const organization = { id, name: 'acme', createdAt: 1 }
    const { operator, seen, sent } = await operatorOf(
      { ...organization, adminToken: made },
      { items: [organization], nextCursor: null },
      organization,
      made,
      { items: [], nextCursor: null },
      { items: [{ ...made, expiresAt: 2, name: null }] },
      { items: [], nextCursor: null },
    )
    expect((await operator.createOrganization({ name: 'acme' })).adminToken).toEqual(made)
    expect((await operator.listOrganizations({ limit: 1 })).items).toEqual([organization])
    expect(await operator.getOrganization(id)).toEqual(organization)
    expect(await operator.createApiToken({ name: 'ci', roles: ['operator'], ttlSeconds: undefined })).toEqual(made)
    await operator.listApiTokens()
    const wishes = [{ kind: 'device', type: 'camera', capabilities: ['cuda'] } as const]
    expect(await operator.createEnrollmentTokens(wishes)).toEqual([{ ...made, expiresAt: 2, name: null }])
    await operator.listEnrollmentTokens({ status: 'open' })
    await operator.revokeApiToken('a/b')
    expect(seen.map((line) => line.replace(' Bearer qf_a.b', ''))).toEqual([
      'POST /v1/organizations',
      'GET /v1/organizations?limit=1',
      `GET /v1/organizations/${id}`,
      'POST /v1/api-tokens',
      'GET /v1/api-tokens',
      'POST /v1/enrollment-tokens/bulk',
      'GET /v1/enrollment-tokens?status=open',
      'DELETE /v1/api-tokens/a%2Fb',
    ])
    expect(sent).toEqual([{ name: 'acme' }, { name: 'ci', roles: ['operator'] }, { items: wishes }])
  })

  it('writes and reads appraisal policies, one version or the newest', async () => {
    const policy = { id: 'edge@1', name: 'edge', version: 1, policy: { v: 1 }, policyHash: 'h', createdAt: 1 }
    const none = { ...policy, id: 'none', name: 'none', version: null, createdAt: null }
    const { operator, seen, sent } = await operatorOf(policy, { items: [policy], nextCursor: null }, policy, none)
    expect(await operator.createPolicy({ name: 'edge', policy: { v: 1 } })).toEqual(policy)
    expect((await operator.listPolicies({ limit: 1 })).items).toEqual([policy])
    expect(await operator.getPolicy('a/b', 1)).toEqual(policy)
    expect(await operator.getPolicy('none')).toEqual(none)
    expect(seen.map((line) => line.replace(' Bearer qf_a.b', ''))).toEqual([
      'POST /v1/policies',
      'GET /v1/policies?limit=1',
      'GET /v1/policies/a%2Fb?version=1',
      'GET /v1/policies/none',
    ])
    expect(sent).toEqual([{ name: 'edge', policy: { v: 1 } }])
  })

  it('changes, suspends and resumes a device, and finds one by every filter', async () => {
    const device = deviceOf('ACTIVE')
    const { operator, seen, sent } = await operatorOf(
      device,
      deviceOf('SUSPENDED'),
      device,
      { items: [device], nextCursor: 'more' },
      { items: [device], nextCursor: null },
    )
    await operator.updateDevice('a/b', { type: null, metadata: { rack: 4 } })
    expect((await operator.suspendDevice(id)).status).toBe('SUSPENDED')
    expect((await operator.resumeDevice(id)).status).toBe('ACTIVE')
    const found = []
    const filter = { status: 'ACTIVE', type: 'camera', capability: 'cuda', namePrefix: 'c 1', lastSeenBefore: 7 }
    for await (const item of operator.devices(filter)) found.push(item)
    expect(found).toEqual([device, device])
    const query = 'status=ACTIVE&type=camera&capability=cuda&namePrefix=c+1&lastSeenBefore=7&limit=200'
    expect(seen.map((line) => line.replace(' Bearer qf_a.b', ''))).toEqual([
      'PATCH /v1/devices/a%2Fb',
      `POST /v1/devices/${id}/suspend`,
      `POST /v1/devices/${id}/resume`,
      `GET /v1/devices?${query}`,
      `GET /v1/devices?${query}&cursor=more`,
    ])
    expect(sent).toEqual([{ type: null, metadata: { rack: 4 } }, {}, {}])
  })

  it('knows a device of an older server, which has neither a type nor capabilities nor restrictions', async () => {
    const {
      type: _type,
      capabilities: _capabilities,
      slowedUntil: _until,
      attestationRequiredSince: _since,
      ...rest
    } = deviceOf('ACTIVE')
    const older = { ...rest, identityKey: { kid: 'k', alg: 'ML-DSA-44', publicKey: 'p' } }
    const { operator } = await operatorOf(older)
    expect(await operator.getDevice(id)).toEqual({
      ...older,
      type: null,
      capabilities: [],
      slowedUntil: null,
      attestationRequiredSince: null,
      identityKey: { ...older.identityKey, rotationDueSince: null },
    })
  })

  it('reads a list to its end', async () => {
    const page = (nextCursor: string | null) => ({ items: [session], nextCursor })
    const { operator, seen } = await operatorOf(page('one'), page('two'), page(null))
    const found = []
    for await (const item of allPages((query) => operator.listSessions(query))) found.push(item)
    expect(found).toHaveLength(3)
    expect(seen.map((line) => line.split(' ')[1])).toEqual([
      '/v1/sessions?limit=200',
      '/v1/sessions?limit=200&cursor=one',
      '/v1/sessions?limit=200&cursor=two',
    ])
  })

  it('passes members of a newer server on, and refuses an answer that lacks what it needs', async () => {
    const newer = await operatorOf({ items: [{ ...session, note: 'x' }], nextCursor: null })
    expect((await newer.operator.listSessions()).items[0]).toHaveProperty('note', 'x')
    const broken = await operatorOf({ items: [{ ...session, state: 'SLEEPING' }], nextCursor: null })
    expect(await codeOf(broken.operator.listSessions())).toBe('bad_answer')
  })
})
