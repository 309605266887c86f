import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createHttpClient, type HttpClient } from '../../../client/http.ts'
import { parseServerUrl } from '../../../client/server-url.ts'
import { codeOf } from './setup.ts'

const schema = z.strictObject({ a: z.number() })
const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections()
})

/** A client of a server that answers with `answer`; `waits` are the pauses before another try, `tries` counts requests. */
async function clientOf(answer: RequestListener, timeoutMs = 2000) {
  const seen = { tries: 0, waits: [] as number[] }
  const server = createServer((request, response) => {
    seen.tries++
    answer(request, response)
  })
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const wait = async (ms: number) => void seen.waits.push(ms)
  return { client: createHttpClient({ url, timeoutMs, wait }), seen, url }
}

function sendJson(json: string, status = 200, headers: Record<string, string> = {}): RequestListener {
  const type = status < 400 ? 'application/json' : 'application/problem+json'
  return (_request, response) => void response.writeHead(status, { 'Content-Type': type, ...headers }).end(json)
}

const problem = (code: string, more: object = {}) => JSON.stringify({ title: 'T', detail: 'D', code, ...more })

describe('an answer', () => {
  it('is parsed', async () => {
    const { client } = await clientOf(sendJson('{"a":1}'))
    expect(await client.get('/x', schema)).toEqual({ a: 1 })
  })

  it('that is larger than allowed is refused, with and without a stated length', async () => {
    const body = JSON.stringify({ a: 1, padding: 'x'.repeat(1 << 20) })
    const stated = await clientOf(sendJson(body, 200, { 'Content-Length': String(body.length) }))
    await expect(stated.client.get('/x', schema)).rejects.toMatchObject({
      code: 'bad_answer',
      message: expect.stringContaining('larger than 1048576 bytes'),
    })
    const streamed = await clientOf((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' })
      for (let i = 0; i < 20; i++) response.write(body.slice(i * 60_000, (i + 1) * 60_000))
      response.end()
    })
    await expect(streamed.client.get('/x', schema, { maxAnswerBytes: 100_000 })).rejects.toMatchObject({
      code: 'bad_answer',
      message: expect.stringContaining('larger than 100000 bytes'),
    })
  })

  it.each([
    ['is not JSON', sendJson('{"a":')],
    [
      'is not UTF-8',
      (_request, response) =>
        void response.setHeader('Content-Type', 'application/json').end(Buffer.from([0x22, 0xff, 0x22])),
    ],
    ['has another type', (_request, response) => void response.setHeader('Content-Type', 'text/html').end('<p>')],
    ['has an unknown member', sendJson('{"a":1,"b":2}')],
    ['is an error without a problem document', sendJson('{"error":"x"}', 500)],
    ['is a problem with a code of the client', sendJson(problem('network'), 500)],
    ['is an HTML error of a proxy', (_request, response) => void response.writeHead(502).end('<h1>Bad gateway</h1>')],
  ] satisfies [string, RequestListener][])('that %s is refused', async (_what, answer) => {
    const { client, seen } = await clientOf(answer)
    expect(await codeOf(client.get('/x', schema))).toBe('bad_answer')
    expect(seen.tries).toBe(1)
  })

  it('that is a redirect is not followed', async () => {
    const { client } = await clientOf((_request, response) => void response.writeHead(307, { Location: '/y' }).end())
    expect(await codeOf(client.get('/x', schema))).toBe('network')
  })

  it('that is a problem becomes its code, with status, request id and hint', async () => {
    const { client } = await clientOf(
      sendJson(problem('bucket_out_of_window', { now: 5 }), 409, { 'X-Request-Id': 'r-1' }),
    )
    await expect(client.post('/x', {}, schema)).rejects.toMatchObject({
      code: 'bucket_out_of_window',
      message: 'D',
      status: 409,
      requestId: 'r-1',
      now: 5,
    })
  })
})

describe('trying again', () => {
  it('happens after 503 with Retry-After, three tries in all, later than asked by a tenth at most', async () => {
    const { client, seen } = await clientOf(sendJson(problem('overloaded'), 503, { 'Retry-After': '2' }))
    await expect(client.post('/x', {}, schema)).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 2 })
    expect(seen.tries).toBe(3)
    expect(seen.waits).toHaveLength(2)
    for (const ms of seen.waits) {
      expect(ms).toBeGreaterThanOrEqual(2000)
      expect(ms).toBeLessThanOrEqual(2200)
    }
  })

  it('does not happen when the server asks for a long wait, or says nothing of one', async () => {
    const long = await clientOf(sendJson(problem('unavailable'), 503, { 'Retry-After': '60' }))
    await expect(long.client.get('/x', schema)).rejects.toMatchObject({ retryAfterSeconds: 60 })
    const silent = await clientOf(sendJson(problem('unavailable'), 503))
    expect(await codeOf(silent.client.get('/x', schema))).toBe('unavailable')
    expect([long.seen.tries, silent.seen.tries]).toEqual([1, 1])
  })

  it('does not happen after another refusal', async () => {
    const { client, seen } = await clientOf(sendJson(problem('rate_limited'), 429, { 'Retry-After': '1' }))
    await expect(client.get('/x', schema)).rejects.toMatchObject({ code: 'rate_limited', retryAfterSeconds: 1 })
    expect(seen.tries).toBe(1)
  })

  it('happens for a lost answer of a GET or of a repeatable POST, not of another POST', async () => {
    const tries = async (call: (client: HttpClient) => Promise<unknown>) => {
      const { client, seen } = await clientOf((request) => void request.socket.destroy())
      expect(await codeOf(call(client))).toBe('network')
      return seen.tries
    }
    expect(await tries((client) => client.get('/x', schema))).toBe(3)
    expect(await tries((client) => client.post('/x', {}, schema, { repeatable: true }))).toBe(3)
    expect(await tries((client) => client.post('/x', {}, schema))).toBe(1)
    expect(await tries((client) => client.delete('/x'))).toBe(1)
  })

  it('ends with a timeout when no answer comes, or only half of one', async () => {
    const none = await clientOf(() => undefined, 50)
    expect(await codeOf(none.client.post('/x', {}, schema))).toBe('timeout')
    const half = await clientOf((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).write('{"a"')
    }, 50)
    expect(await codeOf(half.client.post('/x', {}, schema))).toBe('timeout')
  })
})

describe('the URL of a server', () => {
  it.each([
    ['http://127.0.0.1:8470/', 'http://127.0.0.1:8470'],
    ['http://127.8.9.10', 'http://127.8.9.10'],
    ['http://localhost:1', 'http://localhost:1'],
    ['http://[::1]:8470', 'http://[::1]:8470'],
    ['https://trust.example/qflare/', 'https://trust.example/qflare'],
  ])('%s is taken', (text, url) => {
    expect(parseServerUrl(text)).toBe(url)
  })

  it.each([
    'http://trust.example',
    'http://127.0.0.1.trust.example',
    'http://localhost.example',
    'http://10.0.0.1',
    'ftp://127.0.0.1',
    'https://user:password@trust.example',
    'https://trust.example/?token=x',
    'trust.example',
    '',
  ])('%s is refused', (text) => {
    expect(() => parseServerUrl(text)).toThrow(expect.objectContaining({ code: 'insecure_url' }))
  })

  it('may be plain http elsewhere when that is asked for', () => {
    expect(parseServerUrl('http://qflare:8470', { allowInsecureHttp: true })).toBe('http://qflare:8470')
  })
})
