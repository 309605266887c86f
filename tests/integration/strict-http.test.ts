import { connect } from 'node:net'
import { text as readAll } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { databaseContents, sendRaw, sendText } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

describe('what is no request of HTTP/1.1', () => {
  test.each([
    ['garbage', 'hello\r\n\r\n'],
    ['a path of another form', 'GET v1/buckets HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no Host', 'GET /v1/buckets HTTP/1.1\r\n\r\n'],
    ['two Hosts', 'GET /v1/buckets HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n'],
    ['the same Host twice', 'GET /v1/buckets HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n'],
    ['a Host that is a URL', 'GET /v1/buckets HTTP/1.1\r\nHost: http://x/\r\n\r\n'],
    ['a Host of two names', 'GET /v1/buckets HTTP/1.1\r\nHost: x y\r\n\r\n'],
    ['HTTP/1.0', 'GET /v1/buckets HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n'],
    ['HTTP/2', 'GET /v1/buckets HTTP/2.0\r\nHost: x\r\n\r\n'],
    ['no version', 'GET /v1/buckets\r\n\r\n'],
    ['CONNECT', 'CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n'],
    [
      'a body of two lengths',
      'POST /v1/exchanges HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
    ],
  ])('is answered 400 as a problem, and the connection closed: %s', async (_what, text) => {
    const contents = await databaseContents(service)
    const [head = '', body = '', ...rest] = (await sendText(service, text)).split('\r\n\r\n')
    expect(rest).toEqual([])
    expect(head).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(head).toMatch(/^content-type: application\/problem\+json\r?$/im)
    expect(head).toMatch(/^connection: close\r?$/im)
    expect(JSON.parse(body)).toMatchObject({
      status: 400,
      code: 'malformed',
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
    expect(await databaseContents(service)).toEqual(contents)
  })

  test('is not who names the whole URL, an IPv6 address or no host, or expects what we do not know', async () => {
    for (const [target, host] of [
      ['http://other.example/v1/buckets', 'other.example'],
      ['/v1/buckets', '[2001:db8::1]:8470'],
      ['/v1/buckets', ''],
    ]) {
      const text = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
      expect(await sendText(service, text), text).toMatch(/^HTTP\/1\.1 200 /)
    }
    expect((await sendRaw(service, 'GET', '/v1/buckets', { headers: { expect: 'the-best' } })).status).toBe(200)
  })
})

describe('a request gets one answer', () => {
  test.each([
    ['whose chunks go wrong after it was refused', 'POST /v1/devices HTTP/1.1', 'HTTP/1.1 405 Method Not Allowed'],
    ['that needs a token', 'POST /v1/enrollment-tokens HTTP/1.1', 'HTTP/1.1 401 Unauthorized'],
  ])('also one %s', async (_what, line, expected) => {
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    const all = readAll(socket).catch(String)
    const seen: string[] = []
    socket.on('data', (data) => seen.push(...(data.toString().match(/HTTP\/1\.1 .*(?=\r)/g) ?? [])))
    socket.write(`${line}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`)
    await expect.poll(() => seen).toEqual([expected])
    socket.write('zz\r\n')
    await all
    expect(seen).toEqual([expected])
  })
})
