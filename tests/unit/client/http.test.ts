import { getEventListeners } from 'node:events'
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
    ['is an HTML error of a proxy', (_request, response) => void response.writeHead(403).end('<h1>Forbidden</h1>')],
  ] satisfies [string, RequestListener][])('that %s is refused', async (_what, answer) => {
    const { client, seen } = await clientOf(answer)
    expect(await codeOf(client.get('/x', schema))).toBe('bad_answer')
    expect(seen.tries).toBe(1)
  })

  it('that is a redirect is not followed', async () => {
    const { client } = await clientOf((_request, response) => void response.writeHead(307, { Location: '/y' }).end())
    expect(await codeOf(client.get('/x', schema))).toBe('network')
  })

  it('that is a problem names the input at fault, unless that name has no end', async () => {
    const named = await clientOf(sendJson(problem('malformed', { field: 'name' }), 400))
    await expect(named.client.post('/x', {}, schema)).rejects.toMatchObject({ code: 'malformed', field: 'name' })
    const endless = await clientOf(sendJson(problem('malformed', { field: 'x'.repeat(10_000) }), 400))
    await expect(endless.client.post('/x', {}, schema)).rejects.toMatchObject({ code: 'malformed', field: undefined })
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
  it.each([
    [503, 'overloaded'],
    [429, 'rate_limited'],
  ])('happens after %i with Retry-After, four tries in all, never earlier than asked', async (status, code) => {
    const { client, seen } = await clientOf(sendJson(problem(code), status, { 'Retry-After': '2' }))
    await expect(client.post('/x', {}, schema)).rejects.toMatchObject({ code, retryAfterSeconds: 2 })
    expect(seen.tries).toBe(4)
    expect(seen.waits).toHaveLength(3)
    for (const ms of seen.waits) {
      expect(ms).toBeGreaterThanOrEqual(2000)
      expect(ms).toBeLessThanOrEqual(2500)
    }
    expect(new Set(seen.waits).size).toBe(3)
  })

  it('backs off exponentially with full jitter where the server says nothing of a time', async () => {
    const seen = { waits: [[], [], []] as [number[], number[], number[]] }
    for (let i = 0; i < 20; i++) {
      const silent = await clientOf(sendJson(problem('unavailable'), 503))
      expect(await codeOf(silent.client.get('/x', schema))).toBe('unavailable')
      for (const [index, ms] of silent.seen.waits.entries()) seen.waits[index]?.push(ms)
    }
    for (const [index, waits] of seen.waits.entries()) {
      const longest = 500 * 2 ** index
      expect(waits).toHaveLength(20)
      // Wrong by chance once in half a million runs per bound.
      expect(Math.min(...waits)).toBeLessThan(longest / 2)
      expect(Math.max(...waits)).toBeGreaterThan(longest / 2)
      expect(Math.max(...waits)).toBeLessThanOrEqual(longest)
    }
  })

  it('does not happen when the server asks for a long wait', async () => {
    const long = await clientOf(sendJson(problem('unavailable'), 503, { 'Retry-After': '60' }))
    await expect(long.client.get('/x', schema)).rejects.toMatchObject({ retryAfterSeconds: 60 })
    expect(long.seen.tries).toBe(1)
  })

  it('does not happen after another refusal', async () => {
    const { client, seen } = await clientOf(sendJson(problem('session_state'), 409, { 'Retry-After': '1' }))
    await expect(client.get('/x', schema)).rejects.toMatchObject({ code: 'session_state', retryAfterSeconds: 1 })
    expect(seen.tries).toBe(1)
  })

  it.each([
    ['a lost answer', (request) => void request.socket.destroy(), 'network'],
    ['a proxy without its server', (_request, response) => void response.writeHead(502).end('<h1>'), 'bad_answer'],
  ] satisfies [string, RequestListener, string][])(
    'happens for %s of a GET or of a repeatable POST, not of another request',
    async (_what, answer, code) => {
      const tries = async (call: (client: HttpClient) => Promise<unknown>) => {
        const { client, seen } = await clientOf(answer)
        expect(await codeOf(call(client))).toBe(code)
        return seen.tries
      }
      expect(await tries((client) => client.get('/x', schema))).toBe(4)
      expect(await tries((client) => client.post('/x', {}, schema, { repeatable: true }))).toBe(4)
      expect(await tries((client) => client.post('/x', {}, schema))).toBe(1)
      expect(await tries((client) => client.patch('/x', {}, schema))).toBe(1)
      expect(await tries((client) => client.delete('/x'))).toBe(1)
    },
  )

  it('ends with a timeout when no answer comes, or only half of one', async () => {
    const none = await clientOf(() => undefined, 50)
    expect(await codeOf(none.client.post('/x', {}, schema))).toBe('timeout')
    const half = await clientOf((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).write('{"a"')
    }, 50)
    expect(await codeOf(half.client.post('/x', {}, schema))).toBe('timeout')
  })
})

describe('an aborted request', () => {
  const reason = new Error('enough')

  it('rejects with the signal’s reason: before it, during it, in the answer, and between tries', async () => {
    const silent = await clientOf(() => undefined)
    await expect(silent.client.get('/x', schema, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(silent.seen.tries).toBe(0)

    const during = new AbortController()
    const hanging = await clientOf(() => during.abort(reason))
    await expect(hanging.client.get('/x', schema, { signal: during.signal })).rejects.toBe(reason)
    expect(hanging.seen).toEqual({ tries: 1, waits: [] })

    const inAnswer = new AbortController()
    const half = await clientOf((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).write('{"a"')
      setImmediate(() => inAnswer.abort(reason))
    })
    await expect(half.client.get('/x', schema, { signal: inAnswer.signal })).rejects.toBe(reason)

    const between = new AbortController()
    const { url, seen } = await clientOf(sendJson(problem('unavailable'), 503, { 'Retry-After': '9' }))
    const client = createHttpClient({ url }).withSignal(between.signal)
    const aborted = expect(client.get('/x', schema)).rejects.toBe(reason)
    while (seen.tries === 0) await new Promise((done) => setTimeout(done, 5))
    between.abort(reason)
    await aborted
    expect(seen.tries).toBe(1)
  })

  it('leaves no listener behind on a signal that lives on', async () => {
    const { signal } = new AbortController()
    const { client } = await clientOf(sendJson('{"a":1}'))
    for (let i = 0; i < 3; i++) await client.withSignal(signal).get('/x', schema)
    expect(getEventListeners(signal, 'abort')).toEqual([])
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

  it.each(['http://trust.example', 'http://127.0.0.1.trust.example', 'http://localhost.example', 'http://10.0.0.1'])(
    '%s is refused, because tokens would cross the network in clear',
    (text) => {
      expect(() => parseServerUrl(text)).toThrow(expect.objectContaining({ code: 'insecure_url' }))
    },
  )

  it.each([
    'ftp://127.0.0.1',
    'https://user:password@trust.example',
    'https://trust.example/?token=x',
    'trust.example',
    '',
  ])('"%s" is none', (text) => {
    const refused = expect.objectContaining({ code: 'input_invalid', field: 'url' })
    expect(() => parseServerUrl(text)).toThrow(refused)
    expect(() => parseServerUrl(text, { allowInsecureHttp: true })).toThrow(refused)
  })

  it('may be plain http elsewhere when that is asked for', () => {
    expect(parseServerUrl('http://qflare:8470', { allowInsecureHttp: true })).toBe('http://qflare:8470')
  })
})
