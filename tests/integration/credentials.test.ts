import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call } from '../support/api.ts'
import { enterService, type TestParty } from '../support/rounds.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeApiToken } from '../support/tenants.ts'

let service: TestService
let operatorToken: string
let session: TestParty

beforeAll(async () => {
  service = await startTestService()
  operatorToken = (await makeApiToken(service, ['operator'])).token
  session = await enterService(service)
})
afterAll(() => service.close())

describe('credentials', () => {
  const ask = (authorization: string) =>
    call(service, 'GET', '/v1/sessions', { headers: { authorization } }).then(({ status }) => status)

  test('are a Bearer token and nothing else', async () => {
    expect(await ask(`bearer ${service.adminToken}`)).toBe(200)
    const secret = service.adminToken.slice(3)
    const basic = Buffer.from(`:${service.adminToken}`).toString('base64')
    for (const text of [
      service.adminToken,
      `Basic ${basic}`,
      'Bearer',
      'Bearer ',
      `Bearer  ${service.adminToken}`,
      `Bearer ${service.adminToken},`,
      `Bearer ${service.adminToken} ${service.adminToken}`,
      `Bearer ${service.adminToken}, Bearer ${service.adminToken}`,
      `Bearer ${service.adminToken}.`,
      `Bearer ${service.adminToken}${'A'.repeat(4000)}`,
      `Bearer ${service.adminToken.slice(0, -1)}`,
      `Bearer QF_${secret}`,
      `Bearer ${secret}`,
      `Bearer qf_${secret.split('.')[0]}`,
      `Bearer qf_${secret.split('.')[0]}.`,
      `Bearer qf_${operatorToken.slice(3, 39)}.${secret.split('.')[1]}`,
      `Bearer qs_${secret}`,
    ]) {
      expect({ text, status: await ask(text) }).toEqual({ text, status: 401 })
    }
  })

  test('of a device are void when one bit of them differs', async () => {
    const bytes = Buffer.from(session.accessToken.slice(3), 'base64url')
    expect(await ask(`Bearer qs_${bytes.toString('base64url')}`)).toBe(200)
    for (const at of [0, 1, 2, 17, 18, 33, 34, 49, 50, 57, 58, 89]) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] as number) ^ 1
      expect({ at, status: await ask(`Bearer qs_${changed.toString('base64url')}`) }).toEqual({ at, status: 401 })
    }
  })
})
