import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { databaseContents, expectRefusal, sendRaw } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService

beforeAll(async () => {
  service = await startTestService({ trustProxy: ['127.0.0.1', '10.1.0.0/16'] })
})
afterAll(() => service.close())

describe('a path', () => {
  test('that is not there is not found, whatever the method', async () => {
    const contents = await databaseContents(service)
    const unknown = [
      '/',
      '/v1',
      '/v1/unknown',
      '/v1/devices/x/y/z',
      '/v1//devices',
      '/.env',
      '/v1/%zz',
      '/v1/..%2flive',
    ]
    for (const path of unknown) {
      for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS']) {
        expectRefusal(await sendRaw(service, method, path), 404, 'not_found')
      }
    }
    expect(await databaseContents(service)).toEqual(contents)
  })

  test('has one spelling: another case or a slash at its end is not found', async () => {
    for (const path of ['/V1/buckets', '/v1/buckets/', '/v1/Buckets', '/v1//buckets', '/LIVE', '/docs/']) {
      expectRefusal(await call(service, 'GET', path), 404, 'not_found')
    }
  })

  test('with another method answers 405 and says which it takes', async () => {
    const allowed = {
      '/v1/enrollment-tokens': ['POST', 'GET'],
      '/v1/enrollments': ['POST'],
      '/v1/devices': ['GET'],
      [`/v1/devices/${newId()}/revoke`]: ['POST'],
      [`/v1/sessions/${newId()}`]: ['GET', 'DELETE'],
      '/v1/federations': ['POST', 'GET'],
      [`/v1/federations/${newId()}/members/${newId()}`]: ['PUT', 'DELETE'],
      [`/v1/federations/${newId()}/rounds/1/keys`]: ['POST'],
      [`/v1/federations/${newId()}/rounds/1/membership`]: ['GET', 'POST'],
      '/v1/jobs/failed': ['GET'],
      '/v1/jobs/idle/run': ['POST'],
      '/v1/buckets': ['GET'],
      '/.well-known/jwks.json': ['GET'],
    }
    for (const [path, methods] of Object.entries(allowed)) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND']) {
        if (methods.includes(method)) continue
        const answer = await sendRaw(service, method, path)
        expectRefusal(answer, 405, 'method_not_allowed')
        expect(answer.headers.get('allow')?.split(', ').toSorted()).toEqual(methods.toSorted())
      }
    }
  })

  test('that answers a GET answers a HEAD with the same headers and no body', async () => {
    for (const path of ['/v1/buckets', '/v1/trust', '/live']) {
      const [get, head] = [await sendRaw(service, 'GET', path), await sendHead(path)]
      expect({ status: head.status, body: head.body }).toEqual({ status: 200, body: '' })
      for (const name of ['content-type', 'cache-control', 'x-content-type-options']) {
        expect(head.headers.get(name), name).toBe(get.headers.get(name))
      }
    }
  })
})

async function sendHead(path: string): Promise<{ status: number; body: string; headers: Headers }> {
  const response = await fetch(`${service.url}${path}`, { method: 'HEAD' })
  return { status: response.status, body: await response.text(), headers: response.headers }
}

describe('a query', () => {
  const uuidText = '01a20227-1843-7d48-a167-88732ea3b54d'
  const ask = (path: string) => call(service, 'GET', path, { token: service.adminToken })

  test.each(['/v1/devices', '/v1/sessions', '/v1/enrollment-tokens'])(
    'of %s has its member at fault named',
    async (path) => {
      const foreign = Buffer.from('not an id').toString('base64url')
      const numbers = ['0', '201', '-1', '1.5', 'x', '1e999', '9007199254740993', '%zz', '%00', '']
      const cursors = ['', 'x', '!!', foreign, uuidText, `${toBase64url(Buffer.from(uuidText))}=`, 'A'.repeat(1000)]
      for (const limit of numbers) expectRefusal(await ask(`${path}?limit=${limit}`), 400, 'malformed', 'limit')
      for (const cursor of cursors) expectRefusal(await ask(`${path}?cursor=${cursor}`), 400, 'malformed', 'cursor')
      expectRefusal(await ask(`${path}?limit=1&limit=1`), 400, 'malformed', 'limit')
      expectRefusal(await ask(`${path}?limit=1&%6cimit=2`), 400, 'malformed', 'limit')
      expectRefusal(await ask(`${path}?limit[]=1`), 400, 'malformed', 'limit[]')
      expectRefusal(await ask(`${path}?other=1`), 400, 'malformed', 'other')
      expectRefusal(await ask(`${path}?__proto__=1`), 400, 'malformed', '__proto__')
      for (const limit of [1, 200]) expect((await ask(`${path}?limit=${limit}`)).status).toBe(200)
    },
  )

  test('of a filter takes its own values only', async () => {
    for (const status of ['active', 'UNKNOWN', '']) {
      expectRefusal(await ask(`/v1/devices?status=${status}`), 400, 'malformed', 'status')
    }
    expectRefusal(await ask('/v1/devices?kind=Device'), 400, 'malformed', 'kind')
    for (const id of ['', 'x', uuidText.toUpperCase(), `{${uuidText}}`]) {
      expectRefusal(await ask(`/v1/sessions?deviceId=${id}`), 400, 'malformed', 'deviceId')
    }
    for (const after of ['-1', '1.5', 'x', '9007199254740993']) {
      expectRefusal(await ask(`/v1/trust?after=${after}`), 400, 'malformed', 'after')
    }
  })

  test('takes a number as decimal digits only', async () => {
    for (const number of ['0x10', '1e1', '+1', '%2010', '1_0', '١']) {
      expectRefusal(await ask(`/v1/devices?limit=${number}`), 400, 'malformed', 'limit')
      expectRefusal(await ask(`/v1/trust?after=${number}`), 400, 'malformed', 'after')
    }
    expectRefusal(await ask('/v1/trust?after='), 400, 'malformed', 'after')
  })
})

describe('headers', () => {
  test('beyond the limit of 8 KiB are refused with 431, also in the path', async () => {
    expect((await sendRaw(service, 'GET', '/live', { headers: { 'x-long': 'x'.repeat(7000) } })).status).toBe(200)
    const many = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`x-${i}`, 'y'.repeat(30)]))
    for (const answer of [
      await sendRaw(service, 'GET', '/live', { headers: { 'x-long': 'x'.repeat(8200) } }),
      await sendRaw(service, 'GET', `/v1/trust?after=${'1'.repeat(8200)}`),
      await sendRaw(service, 'GET', '/live', { headers: many }),
    ]) {
      expectRefusal(answer, 431, 'headers_too_large')
    }
  })

  test('a request id that is a UUID is taken, and any other replaced, in refusals too', async () => {
    const given = '0f0e0d0c-0b0a-4908-8706-050403020100'
    for (const path of ['/live', '/v1/unknown', '/v1/devices']) {
      const answer = await sendRaw(service, 'GET', path, { headers: { 'x-request-id': given } })
      expect(answer.headers.get('x-request-id')).toBe(given)
      if (answer.status >= 400) expect(answer.body.requestId).toBe(given)
    }
    const others = ['', 'x', given.toUpperCase(), `${given} `, `${given}, ${given}`, '<script>', 'x'.repeat(1000)]
    const seen = new Set<string | null>()
    for (const other of others.filter((text) => text.trim() !== given)) {
      const { headers, body } = await sendRaw(service, 'GET', '/v1/devices', { headers: { 'x-request-id': other } })
      expect(headers.get('x-request-id')).toMatch(
        /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      )
      expect(body.requestId).toBe(headers.get('x-request-id'))
      seen.add(headers.get('x-request-id'))
    }
    expect(seen.size).toBe(others.length - 1)
  })

  test('every answer forbids what a browser could do with it, and names no product', async () => {
    for (const [method, path] of [
      ['GET', '/live'],
      ['GET', '/v1/buckets'],
      ['GET', '/v1/devices'],
      ['PUT', '/'],
      ['POST', '/v1/exchanges'],
    ] as const) {
      const { headers } = await sendRaw(service, method, path)
      expect(Object.fromEntries(headers), path).toMatchObject({
        'strict-transport-security': expect.stringMatching(/^max-age=\d{8}; includeSubDomains$/),
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
      })
      const policy = headers.get('content-security-policy')?.split(';')
      for (const rule of ["default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"]) {
        expect(policy, path).toContain(rule)
      }
      for (const name of ['x-powered-by', 'server', 'etag', 'access-control-allow-origin']) {
        expect(headers.has(name), name).toBe(false)
      }
    }
  })

  test('only answers that are public may be cached, and none for longer than it is right', async () => {
    const cacheOf = async (path: string) =>
      (await call(service, 'GET', path, { token: service.adminToken })).headers.get('cache-control')
    const others = ['/v1/trust', '/live', '/ready', '/metrics', '/version']
    for (const path of ['/v1/devices', '/v1/sessions', '/v1/federations', '/v1/jobs', ...others]) {
      expect(await cacheOf(path), path).toBe('no-store')
    }
    const left = Math.floor((300_000 - (service.time.now % 300_000)) / 1000)
    expect(await cacheOf('/v1/buckets')).toBe(`public, max-age=${left}`)
  })
})
