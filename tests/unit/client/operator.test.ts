import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { allPages, openOperator } from '../../../client/operator.ts'
import { codeOf } from './setup.ts'

const id = '0199b0a4-7e1c-7000-8000-000000000001'
const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections()
})

/** An operator of a server that gives `answers` one after the other; `seen` are the requests. */
async function operatorOf(...answers: unknown[]) {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization}`)
    const answer = answers.shift()
    if (answer === undefined) response.writeHead(204).end()
    else response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer))
  })
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { operator: openOperator({ url, apiToken: 'qf_a.b' }), seen }
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
