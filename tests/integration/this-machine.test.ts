import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call, enrollTestDevice } from '../support/api.ts'
import { expectRefusal, sendRaw, sendText } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService

beforeAll(async () => {
  service = await startTestService({ trustProxy: ['127.0.0.1', '10.1.0.0/16'] })
})
afterAll(() => service.close())

describe('what is for the machine itself', () => {
  const paths = ['/live', '/ready', '/metrics', '/version']
  const ask = (path: string, forwarded?: string) =>
    sendRaw(service, 'GET', path, { headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded } })

  test('answers the machine', async () => {
    expect((await ask('/live')).body).toEqual({ status: 'live' })
    const ready = await ask('/ready')
    expect(ready.body).toMatchObject({
      status: 'ready',
      checks: { database: { ok: true }, temporalKeys: { ok: true } },
    })
    expect((await ask('/version')).body).toMatchObject({
      name: 'qflare',
      version: '0.0.0-test',
      cryptoProvider: 'native',
    })
    const metrics = await ask('/metrics')
    expect(metrics.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(metrics.body).toMatch(
      /^qflare_http_request_duration_seconds_count\{route="\/live",method="GET",status="200"\} \d/m,
    )
  })

  test.each([
    '203.0.113.7',
    '192.168.1.2',
    '10.2.0.1',
    '2001:db8::1',
    '127.0.0.1, 203.0.113.7',
    '203.0.113.7, 10.1.2.3',
  ])('is not found from elsewhere: %s', async (forwarded) => {
    for (const path of paths) {
      const answer = await ask(path, forwarded)
      expectRefusal(answer, 404, 'not_found')
      const { requestId: _id, ...problem } = (await ask('/unknown', forwarded)).body
      expect(answer.body).toMatchObject(problem)
    }
  })

  test.each(['127.0.0.1', '::1', 'localhost', 'unknown', '0x7f000001', ''])(
    'is not found through a proxy of this machine, whomever it names: "%s"',
    async (forwarded) => {
      expectRefusal(await ask('/metrics', forwarded), 404, 'not_found')
      const headers = { forwarded: `for="${forwarded}"` }
      expectRefusal(await sendRaw(service, 'GET', '/metrics', { headers }), 404, 'not_found')
    },
  )

  test.each([
    { via: '1.1 proxy' },
    { 'x-real-ip': '127.0.0.1' },
    { 'x-forwarded-host': 'localhost' },
    { 'x-forwarded-proto': 'https' },
    { host: 'qflare.example' },
    { host: 'localhost.evil.example' },
    { host: '127.0.0.1.evil.example' },
    { host: 'evil.example', origin: 'http://evil.example' },
  ])('is not found where the request says that it came another way: %o', async (headers) => {
    for (const path of paths) expectRefusal(await sendRaw(service, 'GET', path, { headers }), 404, 'not_found')
  })

  test('is not found by its whole URL or without a host, and is by any name of the machine', async () => {
    const ask = (target: string, host: string) =>
      sendText(service, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    for (const [target, host] of [
      ['http://127.0.0.1/metrics', '127.0.0.1'],
      ['/metrics', ''],
    ] as const) {
      expect(await ask(target, host), target).toMatch(/^HTTP\/1\.1 404 /)
    }
    for (const host of ['localhost', 'LOCALHOST:8470', '127.0.0.1:1', '127.0.0.2', '[::1]', '[::1]:8470']) {
      expect(await ask('/metrics', host), host).toMatch(/^HTTP\/1\.1 200 /)
    }
  })

  test('has no identifiers in its metrics', async () => {
    const device = await enrollTestDevice(service)
    await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: service.adminToken })
    await call(service, 'GET', `/v1/unknown/${device.deviceId}`)
    const { body } = await ask('/metrics')
    expect(body).toContain('route="/v1/devices/:id"')
    expect(body).not.toContain(device.deviceId)
    expect(body).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}/)
  })
})
