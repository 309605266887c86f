import { afterAll, beforeAll, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { call, createToken, flipBit, makeIdentity, refusal, signCompletion, startEnrollment } from '../support/api.ts'
import { databaseContents } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { eventsOf } from '../support/tenants.ts'

/** An enrolment's id is no secret, its challenge is: who knows only the id is in nobody's way. */

let service: TestService
let organizationId: string
beforeAll(async () => {
  service = await startTestService()
  organizationId = (await service.database.sql.query('select id from organization')).rows[0].id
})
afterAll(() => service.close())

const complete = (enrollmentId: string, body: unknown) =>
  call(service, 'POST', `/v1/enrollments/${enrollmentId}/complete`, { body })

async function begin() {
  const token = await createToken(service)
  return { ...token, started: await startEnrollment(service, token.credential), key: makeIdentity().identityKey }
}

type Started = Awaited<ReturnType<typeof begin>>['started']

/** A whole completion with a key of the outsider's own, signed over a challenge that he guessed. */
const guessed = (started: Started) =>
  signCompletion({ ...started, challenge: crypto.randomBytes(32) }, makeIdentity().identityKey)

const refusalsOf = async (enrollmentTokenId: string) =>
  (await eventsOf(service, organizationId)).filter(
    ({ type, subject }) =>
      ['enrollment.refused', 'enrollment.mismatched'].includes(type) && subject.enrollmentTokenId === enrollmentTokenId,
  )

const mismatch = { status: 409, code: 'trust_mismatch' }
const event = expect.objectContaining({
  type: 'enrollment.mismatched',
  severity: 'critical',
  data: { code: 'trust_mismatch' },
})

test('a completion that is not signed over the challenge does not spend it, and the device that has it enrols', async () => {
  const { id, started, key } = await begin()
  expect(refusal(await complete(id, guessed(started)))).toEqual(mismatch)
  const right = signCompletion(started, key)
  expect(refusal(await complete(id, { ...right, signature: flipBit(right.signature as string) }))).toEqual(mismatch)
  expect(refusal(await complete(id, { ...right, name: 'other' }))).toEqual(mismatch)
  const first = await complete(id, right)
  expect(first.status).toBe(201)
  expect(await complete(id, right)).toMatchObject({ status: 201, body: first.body })
})

test('however many of them come, also while the device completes, there is one event and one device', async () => {
  const { id, started, key } = await begin()
  const flood = Array.from({ length: 15 }, () => complete(id, guessed(started)))
  const enrolled = complete(id, signCompletion(started, key))
  flood.push(...Array.from({ length: 15 }, () => complete(id, guessed(started))))
  for (const answer of await Promise.all(flood)) {
    // What comes after the device finds its challenge answered.
    expect([mismatch, { status: 409, code: 'challenge_expired' }]).toContainEqual(refusal(answer))
  }
  expect((await enrolled).status).toBe(201)
  expect((await refusalsOf(id)).length).toBeLessThanOrEqual(1)
})

test('the first of a challenge leaves a critical event, the rest store nothing, and a new challenge begins anew', async () => {
  const { id, credential, started } = await begin()
  await complete(id, guessed(started))
  expect(await refusalsOf(id)).toEqual([event])
  const before = await databaseContents(service)
  for (let again = 0; again < 5; again++) expect(refusal(await complete(id, guessed(started)))).toEqual(mismatch)
  expect(await databaseContents(service)).toEqual(before)
  const second = await startEnrollment(service, credential)
  // The answer to the challenge of before is one of them too.
  const old = signCompletion(started, makeIdentity().identityKey)
  expect(refusal(await complete(id, old))).toEqual(mismatch)
  expect(await refusalsOf(id)).toEqual([event, event])
  expect((await complete(id, signCompletion(second, makeIdentity().identityKey))).status).toBe(201)
})

test('a key under which any signature might be good stores nothing and spends nothing', async () => {
  const { id, started, key } = await begin()
  const publicKey = new Uint8Array(1312).fill(7, 0, 32)
  const body = { ...guessed(started), identityKey: { alg: 'ML-DSA-44', publicKey: toBase64url(publicKey) } }
  const before = await databaseContents(service)
  expect(refusal(await complete(id, body))).toEqual({ status: 400, code: 'key_invalid' })
  expect(await databaseContents(service)).toEqual(before)
  expect((await complete(id, signCompletion(started, key))).status).toBe(201)
})

test('a completion that is signed over the challenge and refused has spent it', async () => {
  const { id, started, key } = await begin()
  const asCoordinator = signCompletion(started, key, { kind: 'coordinator' })
  expect(refusal(await complete(id, asCoordinator))).toEqual({ status: 403, code: 'kind_mismatch' })
  for (const late of [asCoordinator, signCompletion(started, key), guessed(started)]) {
    expect(refusal(await complete(id, late))).toEqual({ status: 409, code: 'challenge_expired' })
  }
  expect(await refusalsOf(id)).toMatchObject([
    { type: 'enrollment.refused', severity: 'warning', data: { code: 'kind_mismatch' } },
  ])
})
