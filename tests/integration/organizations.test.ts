import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { call, enrollTestDevice } from '../support/api.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeApiToken, makeTenant } from '../support/tenants.ts'

let service: TestService

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

const create = (body: unknown, token = service.adminToken) =>
  call(service, 'POST', '/v1/organizations', { token, body })

describe('an organization', () => {
  test('is made with an admin token, shown once, that is good for it at once and administers no service', async () => {
    const { status, body, headers } = await create({ name: 'acme' })
    expect({ status, body }).toEqual({
      status: 201,
      body: {
        id: expect.any(String),
        name: 'acme',
        createdAt: service.time.now,
        adminToken: {
          id: expect.any(String),
          token: expect.stringMatching(`^qf_${body.adminToken.id}\\.[A-Za-z0-9_-]{43}$`),
          expiresAt: null,
        },
      },
    })
    expect(headers.get('location')).toBe(`/v1/organizations/${body.id}`)
    const acme = { ...service, adminToken: body.adminToken.token }
    await enrollTestDevice(acme)
    expectRefusal(await create({ name: 'acme of acme' }, acme.adminToken), 403, 'forbidden')
    const tokens = await call(service, 'GET', '/v1/api-tokens', { token: acme.adminToken })
    expect(tokens.body.items).toMatchObject([{ id: body.adminToken.id, roles: ['admin'], serviceAdmin: false }])
    const found = await call(service, 'GET', `/v1/organizations/${body.id}`, { token: service.adminToken })
    expect(found.body).toEqual({ id: body.id, name: 'acme', createdAt: service.time.now })
  })

  test('begins its own log with an event that says who made it, and holds no secret', async () => {
    const { organizationId, adminToken } = await makeTenant(service, 'logged')
    const [first, ...more] = await eventsOf(service, organizationId)
    expect(more).toEqual([])
    expect(first).toMatchObject({
      type: 'organization.created',
      actor: { type: 'api_token', id: service.adminToken.slice(3, 39) },
      subject: { organizationId, apiTokenId: adminToken.slice(3, 39) },
      data: { organization: 'logged', roles: ['admin'] },
    })
    expect(JSON.stringify(first)).not.toContain(adminToken.slice(40))
  })

  test('cannot have the name of another, and the refusal stores nothing', async () => {
    await makeTenant(service, 'only one')
    const before = await databaseContents(service)
    expectRefusal(await create({ name: 'only one' }), 409, 'name_taken', 'name')
    expectRefusal(await create({ name: 'default' }), 409, 'name_taken', 'name')
    expect(await databaseContents(service)).toEqual(before)
    expect((await create({ name: 'Only one' })).status).toBe(201)
  })

  test('that ten ask for at once is made once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => create({ name: 'wanted' })))
    const made = answers.filter(({ status }) => status === 201)
    expect(made).toHaveLength(1)
    for (const answer of answers) if (answer !== made[0]) expectRefusal(answer, 409, 'name_taken', 'name')
    const { rows } = await service.database.sql.query(
      `select (select count(*)::int from organization where name = 'wanted') as organizations,
        (select count(*)::int from api_token where organization_id = $1) as tokens`,
      [made[0]?.body.id],
    )
    expect(rows).toEqual([{ organizations: 1, tokens: 1 }])
  })

  test.each([
    ['no name', {}, 'name'],
    ['an empty name', { name: '' }, 'name'],
    ['a name of 129 characters', { name: 'n'.repeat(129) }, 'name'],
    ['a name with a line feed', { name: 'a\nb' }, 'name'],
    ['a name that is no text', { name: 7 }, 'name'],
    ['an id of its own', { name: 'x', id: newId() }, 'id'],
    ['a wish to administer the service', { name: 'x', serviceAdmin: true }, 'serviceAdmin'],
  ])('is refused with %s', async (_what, body, field) => {
    const before = await databaseContents(service)
    expectRefusal(await create(body), 400, 'malformed', field)
    expect(await databaseContents(service)).toEqual(before)
  })

  test('is found by its id, and an id that nobody has is 404', async () => {
    for (const id of [newId(), 'default', '00000000-0000-0000-0000-000000000000']) {
      const answer = await call(service, 'GET', `/v1/organizations/${id}`, { token: service.adminToken })
      expectRefusal(answer, 404, 'not_found')
    }
  })
})

test('an admin of the service’s first organization who may not administer the service makes and sees no organization', async () => {
  const { token } = await makeApiToken(service, ['admin', 'operator', 'coordinator', 'auditor'])
  expectRefusal(await create({ name: 'mine' }, token), 403, 'forbidden')
  expectRefusal(await call(service, 'GET', '/v1/organizations', { token }), 403, 'forbidden')
})

test('the list of organizations has each of them once, newest first, page by page', async () => {
  const names = ['one', 'two', 'three', 'four', 'five']
  for (const name of names) await makeTenant(service, name)
  const seen: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const query: string = cursor === '' ? '' : `&cursor=${cursor}`
    const page = await call(service, 'GET', `/v1/organizations?limit=2${query}`, { token: service.adminToken })
    expect(page.body.items.length).toBeLessThanOrEqual(2)
    seen.push(...page.body.items.map(({ name }: { name: string }) => name))
    cursor = page.body.nextCursor
  }
  expect(seen.slice(0, 5)).toEqual(names.toReversed())
  expect(seen.at(-1)).toBe('default')
  expect(new Set(seen).size).toBe(seen.length)
})
