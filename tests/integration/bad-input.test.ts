import { once } from 'node:events'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { listRoutes, type RouteParts } from '../../server/routes.ts'
import {
  call,
  createToken,
  enrollTestDevice,
  establish,
  initiate,
  makeIdentity,
  openExchange,
  signCompletion,
  startEnrollment,
} from '../support/api.ts'
import { signRotation, startRotation } from '../support/identity-rotation.ts'
import { databaseContents, expectRefusal, sendRaw } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

/** Every route that takes a body, by a name for it. */
const routes = {
  organization: 'POST /v1/organizations',
  apiToken: 'POST /v1/api-tokens',
  token: 'POST /v1/enrollment-tokens',
  tokens: 'POST /v1/enrollment-tokens/bulk',
  start: 'POST /v1/enrollments',
  complete: 'POST /v1/enrollments/:id/complete',
  change: 'PATCH /v1/devices/:id',
  suspend: 'POST /v1/devices/:id/suspend',
  resume: 'POST /v1/devices/:id/resume',
  revoke: 'POST /v1/devices/:id/revoke',
  rotate: 'POST /v1/devices/:id/rotate-identity',
  rotated: 'POST /v1/devices/:id/rotate-identity/:challengeId',
  exchange: 'POST /v1/exchanges',
  confirm: 'POST /v1/exchanges/:id/confirm',
  renew: 'POST /v1/sessions/:id/tokens',
} as const
type Name = keyof typeof routes
const names = Object.keys(routes) as Name[]
const maxBytes: Partial<Record<Name, number>> = { complete: 1_048_576, rotated: 1_048_576, tokens: 262_144 }
const optional = new Set(['complete.metadata', 'change.name'])

let service: TestService
let contents: Record<string, string>
/** Of a device; every other request is an admin's. */
let accessToken: string
/** A request of each kind that would be taken, or refused for a reason of its own only. */
let requests: Record<Name, { method: string; path: string; body: Record<string, unknown> }>

beforeAll(async () => {
  service = await startTestService()
  const device = await enrollTestDevice(service)
  const { credential } = await createToken(service)
  const started = await startEnrollment(service, credential)
  const opened = await openExchange(service, device)
  const { wire } = await initiate(service, device)
  const rotating = await enrollTestDevice(service)
  accessToken = (await establish(service, rotating)).accessToken
  const rotation = await startRotation(service, rotating, accessToken)
  const confirmation = toBase64url(opened.deviceConfirmation)
  const nonce = toBase64url(new Uint8Array(32))
  const bodies: Record<Name, [id: string, body: Record<string, unknown>]> = {
    organization: ['', { name: 'tenant' }],
    apiToken: ['', { name: 'script', roles: ['auditor'] }],
    token: ['', { kind: 'device' }],
    tokens: ['', { items: [{ kind: 'device' }] }],
    start: ['', { token: credential }],
    complete: [started.enrollmentId, signCompletion(started, makeIdentity().identityKey)],
    change: [device.deviceId, { name: 'other' }],
    suspend: [device.deviceId, {}],
    resume: [device.deviceId, {}],
    revoke: [device.deviceId, {}],
    rotate: [rotating.deviceId, {}],
    rotated: [rotating.deviceId, signRotation(rotating, rotation, makeIdentity().identityKey)],
    exchange: ['', wire],
    confirm: [opened.sessionId, { deviceId: device.deviceId, confirmation }],
    renew: [opened.sessionId, { deviceId: device.deviceId, epoch: wire.bucket, nonce, proof: confirmation }],
  }
  requests = Object.fromEntries(
    names.map((name) => {
      const [method = '', path = ''] = routes[name].split(' ')
      return [
        name,
        {
          method,
          path: path.replace(':id', bodies[name][0]).replace(':challengeId', rotation.challengeId),
          body: bodies[name][1],
        },
      ]
    }),
  ) as typeof requests
})
afterAll(() => service.close())
beforeEach(async () => {
  contents = await databaseContents(service)
})

async function expectNothingStored(): Promise<void> {
  expect(await databaseContents(service)).toEqual(contents)
}

const tokenOf = (name: Name) => (name === 'rotate' ? accessToken : service.adminToken)
const send = (name: Name, raw: string | Uint8Array, headers: Record<string, string> = {}) =>
  call(service, requests[name].method, requests[name].path, { token: tokenOf(name), raw, headers })

const nest = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`

describe.each(names)('%s: nothing is stored and the answer is a problem', (name) => {
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
        headers: { authorization: `Bearer ${tokenOf(name)}`, ...headers },
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

  test('for one byte more than the limit, announced or not; not for the limit', async () => {
    const limit = maxBytes[name] ?? 65_536
    const tooLong = Buffer.from(withMember('"x":1').padEnd(limit + 1))
    expectRefusal(await send(name, tooLong.subarray(0, limit)), 400, 'malformed', 'x')
    expectRefusal(await send(name, tooLong), 413, 'payload_too_large')
    const headers = { authorization: `Bearer ${tokenOf(name)}`, 'content-type': 'application/json' }
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
    expectRefusal(await send(name, withMember('"extra":1')), 400, 'malformed', 'extra')
    expectRefusal(await send(name, withMember('"toString":null')), 400, 'malformed', 'toString')
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
    for (const key of Object.keys(requests[name].body).filter((key) => !optional.has(`${name}.${key}`))) {
      const { [key]: _left, ...rest } = requests[name].body
      expectRefusal(await send(name, JSON.stringify(rest)), 400, 'malformed', key)
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

test('every route that takes a body is one of those above', () => {
  const parts = { crypto, metrics: {}, publishedKeys: {} } as unknown as RouteParts
  const taking = listRoutes(parts).filter(({ body }) => body !== undefined)
  const found = taking.map(({ method, path }) => `${method.toUpperCase()} ${path}`)
  expect(Object.values(routes).toSorted()).toEqual(found.toSorted())
})

test('every request of this file is taken as far as its own checks go', async () => {
  const codes: Record<string, unknown> = {}
  for (const name of names.filter((each) => !['suspend', 'resume', 'revoke'].includes(each))) {
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
    change: 200,
    rotate: 201,
    rotated: 200,
    exchange: 201,
    confirm: 200,
    renew: 'unauthenticated',
  })
})
