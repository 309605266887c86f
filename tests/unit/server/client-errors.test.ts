import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import express from 'express'
import { describe, expect, onTestFinished, test } from 'vitest'
import { answerClientErrors } from '../../../server/client-errors.ts'
import { readBody } from '../../../server/read-body.ts'
import { requireStrictHttp } from '../../../server/strict-http.ts'

/** Bounds that a test can wait for; the ones of the service are seconds. */
const soon = { headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 20 }

async function open(
  app: RequestListener,
  options: { allowHalfOpen?: boolean; bounds?: typeof soon } = {},
): Promise<Socket> {
  const { bounds, ...own } = options
  const server = createServer({ maxHeaderSize: 8_192, ...bounds }, app)
  answerClientErrors(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect({ port, host: '127.0.0.1', ...own })
  onTestFinished(() => {
    socket.destroy()
    server.close()
  })
  await once(socket, 'connect')
  return socket
}

/** Everything that comes until the server closes the connection. */
async function received(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (data) => (text += data.toString()))
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.on('close', resolve))
  return text
}

/** One answer, a whole problem, and nothing after it. */
function expectProblem(text: string, status: number, code: string): void {
  const [head = '', body = ''] = text.split('\r\n\r\n')
  const [first = '', ...lines] = head.split('\r\n')
  expect(first).toMatch(new RegExp(`^HTTP/1\\.1 ${status} \\S`))
  const headers = new Headers(lines.map((line) => line.split(': ') as [string, string]))
  expect(headers.get('connection')).toBe('close')
  expect(headers.get('content-type')).toBe('application/problem+json')
  expect(headers.get('cache-control')).toBe('no-store')
  expect(headers.get('content-security-policy')).toBe("default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
  expect(headers.get('strict-transport-security')).toBe('max-age=31536000; includeSubDomains')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('content-length')).toBe(String(Buffer.byteLength(body)))
  expect(JSON.parse(body)).toMatchObject({
    type: `docs/errors.md#${code}`,
    status,
    code,
    detail: expect.stringMatching(/\S/),
    requestId: headers.get('x-request-id'),
  })
}

const never: RequestListener = () => undefined
const readAll: RequestListener = (req, res) => {
  req.on('error', () => undefined)
  req.on('end', () => res.end('done'))
  req.resume()
}

describe('a request that is too slow is answered 408', () => {
  test('in its headers', async () => {
    const socket = await open(never, { bounds: soon })
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ')
    expectProblem(await received(socket), 408, 'request_timeout')
  })

  test('in its body', async () => {
    const socket = await open(readAll, { bounds: soon })
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345')
    expectProblem(await received(socket), 408, 'request_timeout')
  })

  test('and not done when the rest of its headers comes after all', async () => {
    let done = 0
    const app = express()
      .use(requireStrictHttp())
      .use((_req, res) => {
        done++
        res.end()
      })
    const socket = await open(app as RequestListener, { bounds: soon })
    socket.write('DELETE /x HTTP/1.1\r\nHost: x\r\nX-Slow: ')
    const answer = received(socket)
    await once(socket, 'data')
    socket.write('y\r\n\r\n')
    expectProblem(await answer, 408, 'request_timeout')
    expect(done).toBe(0)
  })

  test('and not done when the rest of its body comes after all', async () => {
    const bodies: unknown[] = []
    const app: RequestListener = (req) =>
      void readBody(req)
        .then((body) => bodies.push(body))
        .catch(() => undefined)
    const socket = await open(app, { bounds: soon })
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a":')
    const answer = received(socket)
    await once(socket, 'data')
    socket.write('1234}')
    expectProblem(await answer, 408, 'request_timeout')
    expect(bodies).toEqual([])
  })
})

describe('what the parser refuses is answered once, and the connection closed', () => {
  test.each([
    ['what is no HTTP', 'hello\r\n\r\n', 400, 'malformed'],
    ['another version', 'GET / HTTP/3.7\r\n\r\n', 400, 'malformed'],
    ['a TLS handshake', '\x16\x03\x01\x00\xa5\x01\x00\x00', 400, 'malformed'],
    ['a control character in a header', 'GET / HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n', 400, 'malformed'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400, 'malformed'],
    [
      'a length and chunks',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'malformed',
    ],
    ['headers beyond the limit', `GET / HTTP/1.1\r\nX: ${'x'.repeat(9_000)}`, 431, 'headers_too_large'],
    ['a path beyond the limit', `GET /${'x'.repeat(9_000)}`, 431, 'headers_too_large'],
  ])('%s', async (_what, text, status, code) => {
    const socket = await open(never)
    socket.write(text, 'latin1')
    expectProblem(await received(socket), status, code)
  })

  test('a body whose chunks are none', async () => {
    const socket = await open(readAll)
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n')
    expectProblem(await received(socket), 400, 'malformed')
  })

  test('chunk extensions without end', async () => {
    const socket = await open(readAll)
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(20_000)}`)
    expectProblem(await received(socket), 413, 'payload_too_large')
  })

  test('after an earlier request of the connection was answered', async () => {
    const socket = await open(readAll)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'data')
    socket.write('nonsense\r\n\r\n')
    expectProblem(await received(socket), 400, 'malformed')
  })

  test('also of a client that never closes its end, and goes on sending', async () => {
    const socket = await open(never, { allowHalfOpen: true })
    const flood = setInterval(() => socket.write('nonsense\r\n\r\n'), 5)
    onTestFinished(() => clearInterval(flood))
    const text = await received(socket)
    expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    expectProblem(text, 400, 'malformed')
  })
})

describe('who takes us for a proxy', () => {
  const CONNECT = 'CONNECT device.example:443 HTTP/1.1\r\nHost: device.example:443\r\n\r\n'

  test('is answered 400, and the connection closed', async () => {
    const socket = await open(never)
    socket.write(CONNECT)
    expectProblem(await received(socket), 400, 'malformed')
  })

  test('is answered nothing that would be taken for the answer of an earlier request', async () => {
    const socket = await open(never)
    socket.write(`GET /first HTTP/1.1\r\nHost: x\r\n\r\n${CONNECT}`)
    expect(await received(socket)).toBe('')
  })

  test('and goes at once does no harm', async () => {
    const socket = await open(never)
    socket.write(CONNECT)
    socket.resetAndDestroy()
    const other = await open(readAll)
    other.write(CONNECT.repeat(20))
    expectProblem(await received(other), 400, 'malformed')
  })
})

describe('nothing is written', () => {
  const refuse: RequestListener = (_req, res) => void res.writeHead(405, { 'content-length': 2 }).end('no')

  test('after the answer of a request whose body goes wrong then', async () => {
    const socket = await open(refuse)
    const all = received(socket)
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    await once(socket, 'data')
    socket.write('zz\r\n')
    expect((await all).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 405'])
  })

  test('after the answer of a request whose body never comes', async () => {
    const socket = await open(refuse, { bounds: soon })
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n')
    expect((await received(socket)).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 405'])
  })

  test('twice for a request whose body is wrong in the same packet', async () => {
    for (const app of [refuse, ((...both) => void setTimeout(() => refuse(...both), 20)) satisfies RequestListener]) {
      const socket = await open(app)
      socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n')
      expect((await received(socket)).match(/HTTP\/1\.1 \d+/g)).toHaveLength(1)
    }
  })

  test('into an answer that has begun', async () => {
    const socket = await open((_req, res) => {
      res.writeHead(200, { 'content-length': 100 })
      res.write('begun')
    })
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    const all = received(socket)
    await once(socket, 'data')
    socket.write('zz\r\n')
    const text = await all
    expect(text).toMatch(/^HTTP\/1\.1 200 /)
    expect(text).not.toContain('malformed')
  })

  test('that would be taken for the answer of an earlier request', async () => {
    const socket = await open(never)
    socket.write('GET /first HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n')
    expect(await received(socket)).toBe('')
  })

  test('that would be so while the body of the later one is at fault', async () => {
    const socket = await open((req) => void req.resume())
    socket.write('GET /first HTTP/1.1\r\nHost: x\r\n\r\n')
    socket.write('POST /second HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n')
    expect(await received(socket)).toBe('')
  })

  test('to who has gone', async () => {
    const socket = await open(never)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n')
    socket.resetAndDestroy()
    const other = await open(readAll)
    other.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    expect(await received(other)).toMatch(/^HTTP\/1\.1 200 /)
  })
})
