import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { addReferenceValue, postReferenceValues, referenceWish } from '../support/attestation-inputs.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeTenant, type Tenant } from '../support/tenants.ts'

let service: TestService
let tenant: Tenant
let other: Tenant
beforeAll(async () => {
  service = await startTestService()
  tenant = await makeTenant(service, 'tenant')
  other = await makeTenant(service, 'other')
})
afterAll(() => service.close())

const get = (path: string, of: Tenant = tenant) =>
  call(service, 'GET', `/v1/reference-values${path}`, { token: of.adminToken })
const remove = (id: string, of: Tenant = tenant) =>
  call(service, 'DELETE', `/v1/reference-values/${id}`, { token: of.adminToken })
const events = (type: string) => eventsOf(service, tenant.organizationId, `reference_value.${type}`)
const digest = '1a'.repeat(32)

describe('reference values', () => {
  test('are shown and listed as the format understood them, and an event has their hash alone', async () => {
    const { status, body } = await postReferenceValues(tenant, referenceWish('shown', digest))
    expect(status).toBe(201)
    const [{ isNew, referenceValue }] = body.items
    expect(isNew).toBe(true)
    expect(referenceValue).toMatchObject({
      format: 'tpm2',
      name: 'shown',
      value: { pcrs: { sha256: { '0': [digest] } } },
      isGenuine: true,
      removedAt: null,
    })
    expect((await get(`/${referenceValue.id}`)).body).toEqual(referenceValue)
    expect((await get('?name=shown&format=tpm2')).body.items).toEqual([referenceValue])
    expect((await get('?name=shown&format=psa')).body.items).toEqual([])
    const [event] = await events('added')
    expect(event).toMatchObject({ subject: { referenceValueId: referenceValue.id } })
    expect(event?.data).toEqual({ format: 'tpm2', name: 'shown', valueHash: referenceValue.valueHash })
  })

  test('are there once, however often, at once and in whatever order of members they are added', async () => {
    const pcrs = (order: string[]) => Object.fromEntries(order.map((pcr) => [pcr, [digest]]))
    const wish = (order: string[]) => ({ format: 'tpm2', name: 'once', values: [{ pcrs: { sha256: pcrs(order) } }] })
    const orders = [
      ['0', '7'],
      ['7', '0'],
      ['0', '7'],
      ['7', '0'],
    ]
    const answers = await Promise.all(orders.map((order) => postReferenceValues(tenant, wish(order))))
    expect(new Set(answers.map(({ body }) => body.items[0].referenceValue.id)).size).toBe(1)
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 200, 201])
    expect((await events('added')).filter(({ data }) => data.name === 'once')).toHaveLength(1)
  })

  test('are removed once, and may be added again as another one', async () => {
    const wish = referenceWish('gone')
    const id = await addReferenceValue(tenant, wish)
    expect((await Promise.all([remove(id), remove(id)])).map(({ status }) => status)).toEqual([204, 204])
    expect((await get(`/${id}`)).body).toMatchObject({ removedAt: service.time.now, isGenuine: true })
    expect((await get('?name=gone')).body.items).toEqual([])
    expect((await events('removed')).filter(({ data }) => data.name === 'gone')).toHaveLength(1)
    expect(await addReferenceValue(tenant, wish)).not.toBe(id)
  })

  test('are another organization’s for nobody', async () => {
    const id = await addReferenceValue(tenant)
    expectRefusal(await get(`/${id}`, other), 404, 'not_found')
    expectRefusal(await remove(id, other), 404, 'not_found')
    expect((await get('', other)).body.items).toEqual([])
  })

  test('of one name are 64 at most', async () => {
    const name = newId()
    const values = Array.from({ length: 64 }, () => referenceWish().values[0])
    expect((await postReferenceValues(tenant, { format: 'tpm2', name, values })).status).toBe(201)
    expectRefusal(await postReferenceValues(tenant, referenceWish(name)), 400, 'malformed', 'values')
    expect((await postReferenceValues(tenant, { format: 'tpm2', name, values })).status, 'the same again').toBe(200)
  })

  test.each<[string, object]>([
    ['of another format', { format: 'psa', name: 'bad', values: referenceWish().values }],
    ['of a format without any', { format: 'none', name: 'bad', values: [{}] }],
    ['with a short digest', referenceWish('bad', 'abcd')],
    ['with what nobody knows', { ...referenceWish('bad'), values: [{ pcrs: {}, more: 1 }] }],
    ['one of which is wrong', { ...referenceWish('bad'), values: [...referenceWish().values, 7] }],
    ['that are none', { ...referenceWish('bad'), values: [] }],
    ['of a name that nobody sees', referenceWish(' ')],
  ])('%s are refused, and nothing is stored', async (_what, wish) => {
    const before = await databaseContents(service)
    expect(await postReferenceValues(tenant, wish)).toMatchObject({ status: 400, body: { code: 'malformed' } })
    expect(await databaseContents(service)).toEqual(before)
  })
})

test('the values of one name are bounded together, for every attestation reads all of them', async () => {
  const large = () => {
    const pcr = () => Array.from({ length: 64 }, () => randomBytes(32).toString('hex'))
    return { pcrs: { sha256: Object.fromEntries(Array.from({ length: 12 }, (_, n) => [n, pcr()])) } }
  }
  const post = (values: object[]) => postReferenceValues(service, { format: 'tpm2', name: 'large', values })
  for (let request = 0; request < 2; request++)
    expect((await post([large(), large(), large(), large(), large()])).status).toBe(201)
  const before = await databaseContents(service)
  const answer = await post([large()])
  expectRefusal(answer, 400, 'malformed', 'values')
  expect(answer.body.detail).toBe('The values of one name have 524288 characters at most.')
  expect(await databaseContents(service)).toEqual(before)
})
