import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call } from '../support/api.ts'
import { startTestService, type TestService } from '../support/service.ts'

const PATH = '/.well-known/security.txt'
const DAY_MS = 86_400_000

describe('a service with a contact', () => {
  let service: TestService

  beforeAll(async () => {
    service = await startTestService({
      now: Date.UTC(2026, 10, 29, 12),
      securityContact: {
        contacts: ['mailto:security@fleet.example', 'https://fleet.example/report'],
        policy: 'https://fleet.example/policy',
        languages: ['de', 'en'],
      },
    })
  })
  afterAll(() => service.close())

  const fetchText = async () => (await fetch(`${service.url}${PATH}`)).text()

  test('tells anyone whom to tell of a weakness, in the form of RFC 9116', async () => {
    const answer = await fetch(`${service.url}${PATH}`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(answer.headers.get('cache-control')).toBe('public, max-age=3600')
    expect(await answer.text()).toBe(
      [
        'Contact: mailto:security@fleet.example',
        'Contact: https://fleet.example/report',
        'Expires: 2026-12-29T00:00:00.000Z',
        'Preferred-Languages: de, en',
        'Policy: https://fleet.example/policy',
        '',
      ].join('\r\n'),
    )
  })

  test('is good for some weeks from whatever day it is, and for less than a year, as the RFC wants', async () => {
    const begun = service.time.now
    for (const days of [0, 1, 400, 4_000]) {
      service.time.now = begun + days * DAY_MS
      const expiresAt = Date.parse(/^Expires: (.+)\r$/m.exec(await fetchText())?.[1] ?? '')
      expect(expiresAt - service.time.now).toBeGreaterThan(28 * DAY_MS)
      expect(expiresAt - service.time.now).toBeLessThan(365 * DAY_MS)
    }
    service.time.now = begun
  })
})

test('a service that names nobody has no such file', async () => {
  const service = await startTestService({ securityContact: null })
  try {
    expect(await call(service, 'GET', PATH)).toMatchObject({ status: 404, body: { code: 'not_found' } })
  } finally {
    await service.close()
  }
})
