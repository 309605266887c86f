import { once } from 'node:events'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { listRoutes, type RouteParts } from '../../server/routes.ts'
import { call } from '../support/api.ts'
import {
  type BodyRouteName,
  bodyRouteNames,
  bodyRoutes,
  makeBodyRequests,
  maxBodyBytes,
  openBodies,
  optionalMembers,
} from '../support/body-requests.ts'
import { databaseContents, expectRefusal, sendRaw } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
let contents: Record<string, string>
let requests: Awaited<ReturnType<typeof makeBodyRequests>>

beforeAll(async () => {
  service = await startTestService()
  requests = await makeBodyRequests(service)
})
afterAll(() => service.close())
beforeEach(async () => {
  contents = await databaseContents(service)
})

async function expectNothingStored(): Promise<void> {
  expect(await databaseContents(service)).toEqual(contents)
}

function send(name: BodyRouteName, raw: string | Uint8Array, headers: Record<string, string> = {}) {
  const { method, path, token } = requests[name]
  return call(service, method, path, { token, raw, headers })
}

const nest = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`

describe.each(bodyRouteNames)('%s: nothing is stored and the answer is a problem', (name) => {
  const text = () => JSON.stringify(requests[name].body)
  const withMember = (member: string) =>
    text().replace(/^\{(.)/, (_all, next) => `{${member}${next === '}' ? '' : ','}${next}`)

  test('for a body that is not JSON', async () => {
    const long = `{"${'k'.repeat(60_000)}":`
    for (const raw of ['', ' ', '{', text().slice(0, -1), `${text()}x`, `\ufeff${text()}`, "{'kind':'device'}", long]) {
      expectRefusal(await send(name, raw), 400, 'malformed')
    }
    expectRefusal(await send(name, Uint8Array.of(0x7b, 0xff, 0x7d)), 400, 'malformed')
    expectRefusal(await send(name, gzipSync(text())), 400, 'malformed')
    await expectNothingStored()
  })

  test('for JSON that is no object', async () => {
    for (const raw of ['null', 'true', '1', '"text"', '[]', `[${text()}]`]) {
      expectRefusal(await send(name, raw), 400, 'malformed')
    }
    await expectNothingStored()
  })

  test('for a content type that is another, or absent', async () => {
    const sendTyped = (headers: Record<string, string>) =>
      sendRaw(service, requests[name].method, requests[name].path, {
        headers: { authorization: `Bearer ${requests[name].token}`, ...headers },
        body: [text()],
      })
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/jsonp',
      'application/json;charset=latin1',
    ]) {
      expectRefusal(await sendTyped({ 'content-type': type }), 415, 'unsupported_media_type')
    }
    expectRefusal(await sendTyped({ 'content-type': '' }), 415, 'unsupported_media_type')
    expectRefusal(await sendTyped({}), 415, 'unsupported_media_type')
    await expectNothingStored()
  })

  test('for a body that is compressed', async () => {
    for (const encoding of ['gzip', 'br', 'identity']) {
      const answer = await send(name, gzipSync(text()), { 'content-encoding': encoding })
      expectRefusal(answer, 415, 'unsupported_media_type')
    }
    await expectNothingStored()
  })

  const named = (member: string) => (openBodies.has(name) ? undefined : member)

  test('for one byte more than the limit, announced or not; not for the limit', async () => {
    const limit = maxBodyBytes[name] ?? 65_536
    const tooLong = Buffer.from(withMember('"x":1').padEnd(limit + 1))
    expectRefusal(await send(name, tooLong.subarray(0, limit)), 400, 'malformed', named('x'))
    expectRefusal(await send(name, tooLong), 413, 'payload_too_large')
    const headers = { authorization: `Bearer ${requests[name].token}`, 'content-type': 'application/json' }
    const body = [tooLong.subarray(0, limit), tooLong.subarray(limit)]
    const chunked = await sendRaw(service, requests[name].method, requests[name].path, { headers, body })
    expectRefusal(chunked, 413, 'payload_too_large')
    await expectNothingStored()
  })

  test('for more than 8 levels', async () => {
    expectRefusal(await send(name, withMember(`"x":${nest(8)}`)), 400, 'malformed')
    expectRefusal(await send(name, `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`), 400, 'malformed')
    await expectNothingStored()
  })

  test('for a member that is not known, which is named', async () => {
    expectRefusal(await send(name, withMember('"extra":1')), 400, 'malformed', named('extra'))
    expectRefusal(await send(name, withMember('"toString":null')), 400, 'malformed', named('toString'))
    await expectNothingStored()
  })

  test('for a member that stands twice, and for names that reach into objects', async () => {
    for (const member of [
      '"x":1,"x":1',
      '"\\u0078":1,"x":1',
      '"__proto__":{}',
      '"constructor":{}',
      '"a":{"__proto__":1}',
    ]) {
      expectRefusal(await send(name, withMember(member)), 400, 'malformed')
    }
    for (const key of Object.keys(requests[name].body)) {
      expectRefusal(await send(name, withMember(`"${key}":"other"`)), 400, 'malformed')
    }
    await expectNothingStored()
  })

  test('for a member that is missing, which is named', async () => {
    for (const key of Object.keys(requests[name].body).filter((key) => !optionalMembers.has(`${name}.${key}`))) {
      const { [key]: _left, ...rest } = requests[name].body
      expectRefusal(await send(name, JSON.stringify(rest)), 400, 'malformed', named(key))
    }
    await expectNothingStored()
  })
})

test.each(['announced', 'chunked'])(
  'a client that goes on sending after its refusal loses neither it nor the connection: %s',
  async (way) => {
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    let received = ''
    socket.on('data', (text) => (received += text.toString()))
    const piece = ' '.repeat(1 << 20)
    const send = (text: string) => socket.write(way === 'chunked' ? `${text.length.toString(16)}\r\n${text}\r\n` : text)
    const length = way === 'chunked' ? 'transfer-encoding: chunked' : `content-length: ${4 * piece.length}`
    socket.write(`POST /v1/exchanges HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${length}\r\n\r\n`)
    send(piece)
    await expect.poll(() => received, { timeout: 10_000 }).toMatch(/^HTTP\/1\.1 413 .*"code":"payload_too_large"/s)

    for (let i = 0; i < 3; i++) send(piece)
    if (way === 'chunked') socket.write('0\r\n\r\n')
    socket.write('GET /live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
    await once(socket, 'close')
    expect(received).toMatch(/\}HTTP\/1\.1 200 OK.*\{"status":"live"\}$/s)
    await expectNothingStored()
  },
)

test('the content type may name its charset, in any case', async () => {
  for (const type of ['application/json; charset=utf-8', 'Application/JSON;charset=UTF-8']) {
    expectRefusal(await send('exchange', '{}', { 'content-type': type }), 400, 'malformed', 'deviceId')
  }
})

test('every route that takes a body is one of these', () => {
  const parts = { crypto, metrics: {}, publishedKeys: {} } as unknown as RouteParts
  const taking = listRoutes(parts).filter(({ body }) => body !== undefined)
  const found = taking.map(({ method, path }) => `${method.toUpperCase()} ${path}`)
  expect(Object.values(bodyRoutes).toSorted()).toEqual(found.toSorted())
})

test('every request of this file is taken as far as its own checks go', async () => {
  const codes: Record<string, unknown> = {}
  for (const name of bodyRouteNames.filter(
    (each) => !['suspend', 'resume', 'clear', 'lift', 'revoke'].includes(each),
  )) {
    const { status, body } = await send(name, JSON.stringify(requests[name].body))
    codes[name] = status < 300 ? status : body.code
  }
  // `start` replaces the challenge that `complete` answers, and `renew` has a proof that is none.
  expect(codes).toEqual({
    organization: 201,
    apiToken: 201,
    token: 201,
    tokens: 201,
    start: 201,
    complete: 'trust_mismatch',
    credential: 'malformed',
    attestation: 201,
    attested: 200,
    change: 200,
    rotate: 201,
    rotated: 200,
    exchange: 201,
    confirm: 200,
    renew: 'unauthenticated',
    federation: 201,
    round: 201,
    roundKeys: 200,
    membership: 204,
    close: 200,
    runJob: 202,
    retryJob: 202,
    trust: 200,
    policy: 201,
    anchor: 201,
    reference: 201,
    collateral: 201,
    acknowledge: 200,
    resolve: 200,
    monitor: 200,
  })
})
