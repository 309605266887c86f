import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { policyBody, policyDocument, policyHash } from '../../protocol/attestation/policy.ts'
import { newId } from '../../runtime/ids.ts'
import { call, createToken, makeIdentity, signCompletion, startEnrollment } from '../support/api.ts'
import { createPolicy, noneDocument } from '../support/policies.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
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

const described = (description: string) => ({ ...noneDocument, description })
const post = (body: unknown, of: Tenant = tenant) =>
  call(service, 'POST', '/v1/policies', { token: of.adminToken, body })
const show = (path: string, of: Tenant = tenant) =>
  call(service, 'GET', `/v1/policies/${path}`, { token: of.adminToken })
const created = (of: Tenant = tenant) => eventsOf(service, of.organizationId, 'policy.created')

describe('a policy', () => {
  test('has versions that count up, each shown as it was written, the newest where none is named', async () => {
    const first = await post({ name: 'counting', policy: described('one') })
    const second = await post({ name: 'counting', policy: described('two') })
    expect([first, second].map(({ status, body }) => [status, body.id, body.version])).toEqual([
      [201, 'counting@1', 1],
      [201, 'counting@2', 2],
    ])
    expect(first.headers.get('location')).toBe('/v1/policies/counting?version=1')
    expect((await show('counting?version=1')).body).toEqual(first.body)
    expect((await show('counting')).body).toEqual(second.body)
    expect(first.body).toMatchObject({ name: 'counting', createdAt: service.time.now })
    expect(first.body.policy.evidence).toEqual({ none: { rules: {}, referenceValues: [] } })
  })

  test('that says the same as the newest version is that version, and nothing happens', async () => {
    const first = await post({ name: 'same', policy: described('one') })
    const before = await databaseContents(service)
    const again = await post({
      name: 'same',
      policy: { enroll: ['none'], description: 'one', evidence: { none: { referenceValues: [], rules: {} } }, v: 1 },
    })
    expect(again).toMatchObject({ status: 200, body: first.body })
    expect(await databaseContents(service)).toEqual(before)
    await post({ name: 'same', policy: described('two') })
    expect((await post({ name: 'same', policy: described('one') })).body.id, 'not of an older one').toBe('same@3')
  })

  test('has no version twice and none missing, however many write it at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => post({ name: 'busy', policy: described(`no ${i}`) })),
    )
    expect(answers.map(({ body }) => body.version).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1),
    )
    const same = await Promise.all(Array.from({ length: 6 }, () => post({ name: 'twins', policy: noneDocument })))
    expect(same.map(({ body }) => body.id)).toEqual(same.map(() => 'twins@1'))
    expect(same.filter(({ status }) => status === 201)).toHaveLength(1)
    expect((await created()).filter(({ subject }) => subject.policyId === 'twins@1')).toHaveLength(1)
  })

  test('is told of by an event with its id and the hash of its document', async () => {
    const { body } = await post({ name: 'told', policy: described('é') })
    const hash = policyHash(crypto, policyBody(policyDocument.parse(body.policy)))
    expect(body.policyHash).toBe(hash)
    expect((await created()).at(-1)).toMatchObject({ subject: { policyId: 'told@1' }, data: { policyHash: hash } })
  })

  test('is the organization’s own: another may call one the same, and sees nothing of it', async () => {
    await post({ name: 'private', policy: described('ours') })
    for (const path of ['private', 'private?version=1', 'nobody'])
      expectRefusal(await show(path, other), 404, 'not_found')
    expect((await post({ name: 'private', policy: described('theirs') }, other)).body.id).toBe('private@1')
    expect((await show('private')).body.policy.description).toBe('ours')
    const list = await call(service, 'GET', '/v1/policies', { token: other.adminToken })
    expect(list.body.items.map(({ policy }: { policy: { description: string } }) => policy.description)).toEqual([
      'theirs',
    ])
  })

  test('is listed by name with its newest version alone, page by page', async () => {
    const third = await makeTenant(service, 'third')
    for (const name of ['b', 'a', 'c', 'b']) await post({ name, policy: described(newId()) }, third)
    const ids: string[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`
      const { body } = await call(service, 'GET', `/v1/policies?limit=2${query}`, { token: third.adminToken })
      ids.push(...body.items.map(({ id }: { id: string }) => id))
      cursor = body.nextCursor
    }
    expect(ids).toEqual(['a@1', 'b@2', 'c@1'])
  })

  test('none is built in, has no versions, and is nobody’s to write', async () => {
    expect((await show('none')).body).toMatchObject({ id: 'none', version: null, createdAt: null })
    expectRefusal(await show('none?version=1'), 404, 'not_found')
    expectRefusal(await post({ name: 'none', policy: noneDocument }), 400, 'malformed', 'name')
  })

  test.each([
    ['without a format', 'policy.evidence', { evidence: {} }],
    ['of a format that nobody knows', 'policy.evidence.sgx', { evidence: { sgx: { rules: {} } } }],
    [
      'with a rule that nobody knows',
      'policy.evidence.none.rules.debug',
      { evidence: { none: { rules: { debug: true } } } },
    ],
    ['without rules', 'policy.evidence.none.rules', { evidence: { none: {} } }],
    ['that admits the contraindicated', 'policy.enroll.0', { enroll: ['contraindicated'] }],
    ['that admits nobody', 'policy.enroll', { enroll: [] }],
    ['of another version of documents', 'policy.v', { v: 2 }],
    ['with a member that nobody knows', 'policy.more', { more: 1 }],
    ['with control characters', 'policy.description', { description: 'a\u0007' }],
    [
      'with more reference values than may be',
      'policy.evidence.none.referenceValues',
      {
        evidence: { none: { rules: {}, referenceValues: Array.from({ length: 17 }, (_, i) => `v${i}`) } },
      },
    ],
  ])('%s is refused by the name of the member, and nothing is stored', async (_what, field, change) => {
    const before = await databaseContents(service)
    expectRefusal(await post({ name: 'hostile', policy: { ...noneDocument, ...change } }), 400, 'malformed', field)
    expect(await databaseContents(service)).toEqual(before)
  })

  test.each(['', 'UPPER', 'a@1', '-a', 'a b', 'ä', 'a'.repeat(65), '../none'])('is not called %j', async (name) => {
    expectRefusal(await post({ name, policy: noneDocument }), 400, 'malformed', 'name')
    expect((await show(encodeURIComponent(name === '' ? '-' : name))).status).toBe(404)
  })

  test.each(['0', '-1', '1.5', '99999999999', 'x'])('has no version %j', async (version) => {
    expectRefusal(await show(`none?version=${version}`), 400, 'malformed', 'version')
  })
})

describe('an enrolment token', () => {
  const enroll = async (policyId: string) => {
    const { credential } = await createToken(tenant, { policyId })
    const started = await startEnrollment(service, credential)
    return () =>
      call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, {
        body: signCompletion(started, makeIdentity().identityKey),
      })
  }

  test('of a policy’s name alone enrols by the newest version at that time, and the result names it exactly', async () => {
    await createPolicy(tenant, 'moving', { description: 'one' })
    const complete = await enroll('moving')
    await createPolicy(tenant, 'moving', { description: 'two' })
    const { status, body } = await complete()
    expect([status, body.attestation.policyId, body.attestation.tier]).toEqual([201, 'moving@2', 'none'])
    const claims = JSON.parse(Buffer.from(body.attestation.ear.split('.')[1], 'base64url').toString())
    expect(claims.submods.none.ear_appraisal_policy_ids).toEqual(['moving@2'])
  })

  test('of one version enrols by that version, whatever came after', async () => {
    await createPolicy(tenant, 'fixed', { description: 'one' })
    await createPolicy(tenant, 'fixed', { enroll: ['affirming'] })
    expect((await (await enroll('fixed@1'))()).body.attestation.policyId).toBe('fixed@1')
    const refused = await (await enroll('fixed'))()
    expectRefusal(refused, 403, 'evidence_refused', 'evidence')
    expect(refused.body.detail).toBe('Policy fixed@2 admits nobody who is none.')
  })

  test.each(['nobody', 'nobody@1', 'fixed@9', 'none@1', 'a@0', 'a@b', 'a@1@2', '@1', 'A', '', 'fixed@01'])(
    'of the policy %j, which there is not, is refused, and nothing is stored',
    async (policyId) => {
      const before = await databaseContents(service)
      const ask = (path: string, body: object) =>
        call(service, 'POST', `/v1/enrollment-tokens${path}`, { token: tenant.adminToken, body })
      expectRefusal(await ask('', { kind: 'device', policyId }), 400, 'malformed', 'policyId')
      const items = [{ kind: 'device' }, { kind: 'device', policyId }, { kind: 'device', policyId }]
      expectRefusal(await ask('/bulk', { items }), 400, 'malformed', 'items.1.policyId')
      expect(await databaseContents(service)).toEqual(before)
    },
  )

  test('of another organization’s policy is refused as of none', async () => {
    await createPolicy(other, 'theirs')
    const body = { kind: 'device', policyId: 'theirs@1' }
    expectRefusal(
      await call(service, 'POST', '/v1/enrollment-tokens', { token: tenant.adminToken, body }),
      400,
      'malformed',
      'policyId',
    )
  })
})
