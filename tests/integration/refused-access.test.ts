import { Writable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { call, createToken, enrollTestDevice, establish } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeApiToken, makeTenant, type Tenant } from '../support/tenants.ts'

/** Who was let in and asked for what is not his leaves a trace in the log of his organization. */

let service: TestService
let tenant: Tenant
const lines: Record<string, unknown>[] = []
beforeAll(async () => {
  const write = (line: string, _encoding: string, done: () => void) => {
    lines.push(JSON.parse(line))
    done()
  }
  service = await startTestService({ logger: createLogger('info', new Writable({ decodeStrings: false, write })) })
  tenant = await makeTenant(service, 'acme')
})
afterAll(() => service.close())

const traces = (organizationId = tenant.organizationId) => eventsOf(service, organizationId, 'access.refused')
const actorsOf = async (type: string) => (await traces()).filter(({ actor }) => 'type' in actor && actor.type === type)

test('an API token that asks for more than its roles leaves an event, with who it was and the route', async () => {
  const { id, token } = await makeApiToken(tenant, ['auditor'])
  const answer = await call(service, 'POST', '/v1/api-tokens', { token, body: { name: 'mine', roles: ['admin'] } })
  expectRefusal(answer, 403, 'forbidden')
  expect(await traces()).toEqual([
    expect.objectContaining({
      actor: { type: 'api_token', id },
      severity: 'warning',
      subject: {},
      data: { route: 'POST /v1/api-tokens' },
      requestId: answer.headers.get('x-request-id'),
    }),
  ])
})

test('who asks again and again, or many times at once, leaves one event for each route', async () => {
  const { id, token } = await makeApiToken(tenant, ['operator'])
  const before = (await traces()).length
  const ask = (path: string) => call(service, 'GET', path, { token })
  await Promise.all(Array.from({ length: 20 }, () => ask('/v1/api-tokens')))
  for (let again = 0; again < 5; again++) await ask('/v1/api-tokens')
  // A parameter is the request's own: other ids are the same route.
  for (const { id: other } of [await createToken(tenant), await createToken(tenant)])
    await call(service, 'DELETE', `/v1/api-tokens/${other}`, { token })
  const after = (await traces()).slice(before)
  expect(after.map(({ actor, data }) => ({ actor, route: data.route }))).toEqual(
    ['GET /v1/api-tokens', 'DELETE /v1/api-tokens/:id'].map((route) => ({ actor: { type: 'api_token', id }, route })),
  )
  const another = await makeApiToken(tenant, ['operator'])
  await call(service, 'GET', '/v1/api-tokens', { token: another.token })
  expect((await traces()).slice(before + 2)).toMatchObject([{ actor: { id: another.id } }])
})

test('what only a service finds to be forbidden leaves one too: of a device, and of an admin', async () => {
  const device = await enrollTestDevice(tenant)
  const { accessToken } = await establish(tenant, device)
  const path = `/v1/devices/${device.deviceId}`
  expectRefusal(await call(service, 'PATCH', path, { token: accessToken, body: { name: 'root' } }), 403, 'forbidden')
  expect(await actorsOf('device')).toMatchObject([
    { actor: { id: device.deviceId }, data: { route: 'PATCH /v1/devices/:id' } },
  ])
  const { token } = await makeApiToken(service, ['admin'])
  const serviceAdminId = service.adminToken.slice(3, 39)
  expectRefusal(await call(service, 'DELETE', `/v1/api-tokens/${serviceAdminId}`, { token }), 403, 'forbidden')
  const { rows } = await service.database.sql.query(`select id from organization where name = 'default'`)
  expect(await traces(rows[0].id)).toMatchObject([{ data: { route: 'DELETE /v1/api-tokens/:id' } }])
})

test('who is nobody, and what is allowed, leave none', async () => {
  const before = (await traces()).length
  await call(service, 'POST', '/v1/api-tokens', { body: {} })
  await call(service, 'POST', '/v1/api-tokens', { token: `${tenant.adminToken.slice(0, -4)}AAAA`, body: {} })
  await call(service, 'GET', '/v1/api-tokens', { token: tenant.adminToken })
  await call(service, 'GET', `/v1/api-tokens/${tenant.organizationId}`, { token: tenant.adminToken })
  expect(await traces()).toHaveLength(before)
})

test('every request of a caller is in the request log with whose it was, refused or not, and without the token', async () => {
  const device = await enrollTestDevice(tenant)
  const { accessToken } = await establish(tenant, device)
  const { id, token } = await makeApiToken(tenant, ['operator'])
  const lineOf = async (answer: Awaited<ReturnType<typeof call>>) => {
    const requestId = answer.headers.get('x-request-id')
    // The line is written when the answer is out.
    await expect.poll(() => lines.some((line) => line.requestId === requestId)).toBe(true)
    return lines.find((line) => line.requestId === requestId) as Record<string, unknown>
  }
  const { organizationId } = tenant
  const refused = await lineOf(await call(service, 'GET', '/v1/api-tokens', { token }))
  expect(refused).toMatchObject({ status: '403', organizationId, apiTokenId: id })
  const own = await lineOf(await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: accessToken }))
  expect(own).toMatchObject({ status: '200', organizationId, deviceId: device.deviceId })
  const nobody = await lineOf(await call(service, 'GET', '/v1/devices'))
  expect(Object.keys(nobody).filter((name) => name.endsWith('Id'))).toEqual(['requestId'])
  const secrets = [token.slice(40), accessToken.slice(3)]
  for (const secret of secrets) expect(JSON.stringify(lines)).not.toContain(secret)
})
