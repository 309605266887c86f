import { afterAll, beforeAll, expect, test } from 'vitest'
import { openOperator, type QflareOperator } from '../../client/operator.ts'
import { enrollTestDevice } from '../support/api.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** The operator's half of the client library, against the real service. */

let service: TestService
let operator: QflareOperator
let tenant: QflareOperator
let adminToken: string

beforeAll(async () => {
  service = await startTestService()
  operator = openOperator({ url: service.url, apiToken: service.adminToken })
  const organization = await operator.createOrganization({ name: 'acme' })
  adminToken = organization.adminToken.token
  tenant = openOperator({ url: service.url, apiToken: adminToken })
})
afterAll(() => service.close())

test('an operator of the service makes tenants, finds them, and is told when a name is taken', async () => {
  const { items } = await operator.listOrganizations()
  expect(items.map(({ name }) => name)).toEqual(['acme', 'default'])
  expect(await operator.getOrganization(items[0]?.id as string)).toEqual(items[0])
  await expect(operator.createOrganization({ name: 'acme' })).rejects.toMatchObject({ code: 'name_taken', status: 409 })
  await expect(tenant.listOrganizations()).rejects.toMatchObject({ code: 'forbidden' })
})

test('an admin makes, lists and revokes API tokens', async () => {
  const { id, token } = await tenant.createApiToken({ name: 'ci', roles: ['operator'], ttlSeconds: 60 })
  const other = openOperator({ url: service.url, apiToken: token })
  expect((await other.listDevices()).items).toEqual([])
  await tenant.revokeApiToken(id)
  await tenant.revokeApiToken(id)
  await expect(other.listDevices()).rejects.toMatchObject({ code: 'unauthenticated' })
  const { items } = await tenant.listApiTokens()
  expect(items.map(({ name, status }) => [name, status])).toEqual([
    ['ci', 'revoked'],
    ['first admin', 'open'],
  ])
})

test('an operator makes many enrolment tokens, and looks at and revokes one', async () => {
  const made = await tenant.createEnrollmentTokens([
    { kind: 'device', name: 'one', type: 'camera', capabilities: ['cuda'] },
    { kind: 'coordinator', ttlSeconds: 60 },
  ])
  expect(made.map(({ name }) => name)).toEqual(['one', null])
  const id = made[0]?.id as string
  expect(await tenant.getEnrollmentToken(id)).toMatchObject({ type: 'camera', capabilities: ['cuda'], status: 'open' })
  await tenant.revokeEnrollmentToken(id)
  expect((await tenant.listEnrollmentTokens({ status: 'revoked' })).items.map((token) => token.id)).toEqual([id])
  expect((await tenant.listEnrollmentTokens({ status: 'open' })).items.map((token) => token.id)).toEqual([made[1]?.id])
})

test('an operator changes, suspends, resumes and revokes a device, and finds it by what it is', async () => {
  const { deviceId } = await enrollTestDevice({ ...service, adminToken })
  await tenant.updateDevice(deviceId, {
    name: 'camera 1',
    type: 'camera',
    capabilities: ['tpm'],
    metadata: { rack: 4 },
  })
  const found = async (filter: Parameters<QflareOperator['devices']>[0]) => {
    const ids = []
    for await (const { id } of tenant.devices(filter)) ids.push(id)
    return ids
  }
  expect(await found({ type: 'camera', capability: 'tpm', namePrefix: 'cam', kind: 'device' })).toEqual([deviceId])
  expect((await tenant.suspendDevice(deviceId)).status).toBe('SUSPENDED')
  expect((await tenant.suspendDevice(deviceId)).status).toBe('SUSPENDED')
  expect(await found({ status: 'ACTIVE' })).toEqual([])
  expect((await tenant.resumeDevice(deviceId)).status).toBe('ACTIVE')
  expect((await tenant.revokeDevice(deviceId)).status).toBe('REVOKED')
  await expect(tenant.resumeDevice(deviceId)).rejects.toMatchObject({ code: 'session_state' })
  expect(await tenant.getDevice(deviceId)).toMatchObject({ metadata: { rack: 4 }, status: 'REVOKED' })
  await expect(operator.getDevice(deviceId)).rejects.toMatchObject({ code: 'not_found' })
})
