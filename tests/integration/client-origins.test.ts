import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { call } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

const origin = 'https://console.example'
const preflight = { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' }
let service: TestService
let closed: TestService

beforeAll(async () => {
  service = await startTestService({ corsOrigins: [origin, 'http://127.0.0.1:8471'] })
  closed = await startTestService()
})
afterAll(async () => {
  await service?.close()
  await closed?.close()
})

/** The headers that tell a browser what a page may do. */
function grants(headers: Headers): string[] {
  return [...headers.keys()].filter((name) => name.startsWith('access-control-'))
}

describe('a page of an allowed origin', () => {
  test('may send what the client sends, and read the answer', async () => {
    const asked = await call(service, 'OPTIONS', '/v1/exchanges', { headers: preflight })
    expect(asked).toMatchObject({ status: 204, body: '' })
    expect(Object.fromEntries(asked.headers)).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': expect.stringContaining('POST'),
      'access-control-allow-headers':
        'authorization, cache-control, content-type, last-event-id, qflare-pass, x-request-id',
      vary: expect.stringMatching(/origin/i),
    })
    const answer = await call(service, 'GET', '/v1/buckets', { headers: { origin } })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
    expect(answer.headers.get('access-control-expose-headers')).toContain('retry-after')
    expect(answer.headers.get('access-control-expose-headers')).toContain('qflare-pass')
  })

  test('has what it asks beforehand counted, and may read that it is too often', async () => {
    const limited = await startTestService({ corsOrigins: [origin], limits: { address: 2 } })
    onTestFinished(() => limited.close())
    const ask = () => call(limited, 'OPTIONS', '/v1/exchanges', { headers: preflight })
    expect([(await ask()).status, (await ask()).status]).toEqual([204, 204])
    const refused = await ask()
    expectRefusal(refused, 429, 'rate_limited')
    expect(refused.headers.get('access-control-allow-origin')).toBe(origin)
  })

  test('may read a refusal', async () => {
    const answer = await call(service, 'POST', '/v1/exchanges', { headers: { origin }, raw: '{' })
    expect(answer.status).toBe(400)
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
  })

  test('may not send cookies, nor read health and metrics', async () => {
    const asked = await call(service, 'OPTIONS', '/v1/devices', { headers: preflight })
    expect(asked.headers.get('access-control-allow-credentials')).toBeNull()
    for (const path of ['/ready', '/metrics', '/version', '/live']) {
      const answer = await call(service, 'GET', path, { headers: { origin } })
      expect(grants(answer.headers), path).toEqual([])
    }
  })
})

test.each(['https://evil.example', 'http://console.example', 'https://console.example.evil.example', 'null'])(
  'a page of %s may nothing',
  async (other) => {
    const asked = await call(service, 'OPTIONS', '/v1/exchanges', { headers: { ...preflight, origin: other } })
    expect(asked.status).toBe(405)
    expect(grants(asked.headers)).toEqual([])
    const answer = await call(service, 'GET', '/v1/buckets', { headers: { origin: other } })
    expect(grants(answer.headers)).toEqual([])
    // Or a cache would give this answer to the page that may have one.
    expect(answer.headers.get('vary')).toMatch(/origin/i)
  },
)

test('without the setting no page may anything', async () => {
  for (const [method, path] of [
    ['OPTIONS', '/v1/exchanges'],
    ['GET', '/v1/buckets'],
  ] as const) {
    const answer = await call(closed, method, path, { headers: method === 'GET' ? { origin } : preflight })
    expect(grants(answer.headers), path).toEqual([])
  }
})

test('an OPTIONS that is no preflight is refused as it always was', async () => {
  expect((await call(service, 'OPTIONS', '/v1/exchanges', { headers: { origin } })).status).toBe(405)
})
