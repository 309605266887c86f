import { describe, expect, test } from 'vitest'
import { call, enrollTestDevice, establish, initiate, sendExchange } from '../support/api.ts'
import { authoritiesWish, psaWish, referenceWish } from '../support/attestation-inputs.ts'
import { expectLimited, from, limitedCount, limitHeaders, startLimited } from '../support/rate-limits.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import type { TestService } from '../support/service.ts'
import { makeApiToken, makeTenant } from '../support/tenants.ts'
import { makePath } from '../support/x509.ts'

describe('an API token', () => {
  const list = (service: TestService, token: string) => call(service, 'GET', '/v1/sessions', { token })

  test('is limited in all that is asked with it, and another of its organization is not', async () => {
    const service = await startLimited({ limits: { apiToken: 2 } })
    const [one, other] = [await makeApiToken(service, ['operator']), await makeApiToken(service, ['operator'])]
    expect(limitHeaders(await list(service, one.token))).toEqual([2, 1])
    await list(service, one.token)
    expectLimited(await list(service, one.token), 2, /API token/)
    expect((await list(service, other.token)).status).toBe(200)
    expect(await limitedCount(service, 'api_token')).toBe(1)
  })

  test('that may nothing uses up nothing but its own limit', async () => {
    const service = await startLimited({ limits: { apiToken: 6, organization: 4 } })
    const auditor = (await makeApiToken(service, ['auditor'])).token
    const operator = (await makeApiToken(service, ['operator'])).token
    for (let i = 0; i < 6; i++) expectRefusal(await list(service, auditor), 403, 'forbidden')
    expectLimited(await list(service, auditor), 6, /API token/)
    const answer = await list(service, operator)
    // Two of the four are the admin's, who made the tokens.
    expect([answer.status, ...limitHeaders(answer)]).toEqual([200, 4, 1])
  })

  test('that uses up its organization’s limit is revoked by an admin all the same, and a device suspended', async () => {
    const service = await startLimited({ limits: { organization: 8 } })
    const device = await enrollTestDevice(service)
    const operator = await makeApiToken(service, ['operator'])
    while ((await list(service, operator.token)).status === 200);
    expectLimited(await list(service, operator.token), 8, /organization/)
    const suspend = (token: string) =>
      call(service, 'POST', `/v1/devices/${device.deviceId}/suspend`, { token, body: {} })
    expectLimited(await suspend(operator.token), 8, /organization/)
    expect((await suspend(service.adminToken)).status).toBe(200)
    const revoked = await call(service, 'DELETE', `/v1/api-tokens/${operator.id}`, { token: service.adminToken })
    expect([revoked.status, ...limitHeaders(revoked)]).toEqual([204, undefined, undefined])
    expectRefusal(await list(service, operator.token), 401, 'unauthenticated')
  })

  test('that makes many enrolment tokens in one request is charged for as many', async () => {
    const service = await startLimited({ limits: { apiToken: 10, organization: 60 } })
    const operator = (await makeApiToken(service, ['operator'])).token
    const other = (await makeApiToken(service, ['operator'])).token
    const make = (token: string, count: number) => {
      const body = { items: Array.from({ length: count }, () => ({ kind: 'device' })) }
      return call(service, 'POST', '/v1/enrollment-tokens/bulk', { token, body })
    }
    const first = await make(operator, 4)
    expect([first.status, ...limitHeaders(first)]).toEqual([201, 10, 6])
    expect((await make(operator, 50)).status, 'more than is left, and something is').toBe(201)
    expectLimited(await make(operator, 1), 10, /API token/)
    // Of the 60: two API tokens, 54 enrolment tokens, and this.
    expect(limitHeaders(await list(service, other))).toEqual([60, 3])
  })
})

const three = <T>(make: () => T): T[] => [make(), make(), make()]
const { root, intermediate } = makePath()

test.each([
  ['keys of devices', '/v1/trust-anchors', { format: 'psa', keys: three(psaWish).flatMap(({ keys }) => keys) }],
  ['certificates', '/v1/trust-anchors', authoritiesWish(root, intermediate)],
  [
    'reference values',
    '/v1/reference-values',
    { ...referenceWish(), values: three(referenceWish).flatMap(({ values }) => values) },
  ],
])('many %s in one request are charged for as many', async (_what, path, body) => {
  const service = await startLimited({ limits: { apiToken: 10 } })
  const { token } = await makeApiToken(service, ['operator'])
  const answer = await call(service, 'POST', path, { token, body })
  expect([answer.status, ...limitHeaders(answer)]).toEqual([201, 10, 10 - answer.body.items.length])
  expect(answer.body.items.length).toBeGreaterThan(1)
})

describe('an organization', () => {
  test('is limited in all that its people and devices ask, and another is not', async () => {
    const service = await startLimited({ limits: { organization: 8 } })
    const { adminToken: foreign } = await makeTenant(service, 'foreign')
    const operator = (await makeApiToken(service, ['operator'])).token
    const device = await enrollTestDevice(service)
    const { accessToken } = await establish(service, device)
    // The other organization, the API token, the enrolment token, the exchange, and these.
    const seen: unknown[] = []
    for (const token of [operator, accessToken, operator, accessToken]) {
      seen.push(limitHeaders(await call(service, 'GET', '/v1/sessions', { token })))
    }
    expect(seen).toEqual([3, 2, 1, 0].map((remaining) => [8, remaining]))
    for (const token of [operator, accessToken]) {
      expectLimited(await call(service, 'GET', '/v1/sessions', { token }), 8, /organization/)
    }
    const { wire } = await initiate(service, device)
    const contents = await databaseContents(service)
    expectLimited(await sendExchange(service, wire), 8, /organization/)
    expect(await databaseContents(service)).toEqual(contents)
    expect((await call(service, 'GET', '/v1/sessions', { token: foreign })).status).toBe(200)
    expect((await call(service, 'GET', '/v1/trust')).status, 'what anyone may ask').toBe(200)
    expect(await limitedCount(service, 'organization')).toBe(3)
  })

  test('is not charged for tokens that are refused', async () => {
    const service = await startLimited({ limits: { organization: 3 } })
    const operator = (await makeApiToken(service, ['operator'])).token
    const wrong = `${operator.slice(0, -4)}AAAA`
    for (let i = 0; i < 5; i++) await call(service, 'GET', '/v1/sessions', { token: wrong })
    expect(limitHeaders(await call(service, 'GET', '/v1/sessions', { token: operator }))).toEqual([3, 1])
  })
})

test('of several limits the headers tell the one of which the least is left', async () => {
  const service = await startLimited({ limits: { address: 10, apiToken: 45, organization: 51, device: 7 } })
  const operator = (await makeApiToken(service, ['operator'])).token
  const ask = (address: string) => call(service, 'GET', '/v1/sessions', { token: operator, ...from(address) })
  expect(limitHeaders(await ask('203.0.113.1'))).toEqual([10, 9])
  for (let i = 2; i <= 43; i++) await ask(`203.0.113.${i}`)
  expect(limitHeaders(await ask('203.0.113.200'))).toEqual([45, 1])
})
