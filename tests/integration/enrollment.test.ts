import { afterAll, beforeAll, expect, test } from 'vitest'
import { fromBase64url } from '../../protocol/encoding.ts'
import { verifyJws } from '../../protocol/jws.ts'
import { keyId } from '../../protocol/key-id.ts'
import { verifyPinnedTrustBundle } from '../../protocol/trust.ts'
import {
  call,
  createToken,
  initiate,
  makeIdentity,
  refusal,
  sendExchange,
  signCompletion,
  startEnrollment,
} from '../support/api.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

const complete = (enrollmentId: string, body: unknown) =>
  call(service, 'POST', `/v1/enrollments/${enrollmentId}/complete`, { body })

async function begin(wish: Parameters<typeof createToken>[1] = {}) {
  const token = await createToken(service, wish)
  return { ...token, started: await startEnrollment(service, token.credential), identity: makeIdentity() }
}

async function countPrincipals(): Promise<number> {
  const { rows } = await service.database.sql.query('select count(*)::int as count from principal')
  return rows[0].count
}

test('every ML-DSA parameter set enrols, and the result is a signed EAR of tier none for that key', async () => {
  for (const alg of ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const) {
    const { started, pin } = await begin()
    const { identityKey } = makeIdentity(alg)
    const trust = verifyPinnedTrustBundle(crypto, started.trust, pin)
    const { status, body } = await complete(started.enrollmentId, signCompletion(started, identityKey))
    expect(status).toBe(201)
    expect(body).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'none', policyId: 'none' } })
    expect(body.spiffeId).toMatch(/^spiffe:\/\/test\.example\/organization\/[0-9a-f-]{36}\/device\/[0-9a-f-]{36}$/)
    const jwks = (await call(service, 'GET', '/.well-known/jwks.json')).body.keys
    const key = trust.keys.find((candidate) => candidate.use === 'attestation')
    expect(jwks).toEqual([{ kty: 'AKP', alg: 'ML-DSA-44', kid: key?.kid, pub: key?.publicKey, use: 'sig' }])
    const signer = crypto.importVerificationKey('ML-DSA-44', fromBase64url(jwks[0].pub))
    expect(verifyJws(crypto, body.attestation.ear, signer)).toMatchObject({
      eat_profile: 'tag:ietf.org,2026:rats/ear#04',
      sub: body.spiffeId,
      ear_status: 'none',
      cnf: { jwk: { kty: 'AKP', alg, kid: keyId(crypto, alg, identityKey.publicKey) } },
      submods: { none: { ear_status: 'none', ear_appraisal_policy_ids: ['none'] } },
    })
  }
})

test('the same signed completion again gives the same answer until its challenge would have expired', async () => {
  const { started, identity } = await begin()
  const body = signCompletion(started, identity.identityKey)
  const first = await complete(started.enrollmentId, body)
  const count = await countPrincipals()
  service.time.now = started.expiresAt - 1
  await service.tick()
  const again = await complete(started.enrollmentId, body)
  expect([again.status, again.body]).toEqual([201, first.body])
  service.time.now = started.expiresAt
  expect(refusal(await complete(started.enrollmentId, body))).toEqual({ status: 409, code: 'challenge_expired' })
  expect(await countPrincipals()).toBe(count)
})

test('20 copies of one completion at once enrol one device', async () => {
  const { started, identity } = await begin()
  const body = signCompletion(started, identity.identityKey)
  const answers = await Promise.all(Array.from({ length: 20 }, () => complete(started.enrollmentId, body)))
  expect(new Set(answers.map(({ status, body: answer }) => `${status} ${answer.deviceId}`)).size).toBe(1)
  expect(answers[0]?.status).toBe(201)
})

test('another completion under a challenge that was answered is refused', async () => {
  const { started, identity } = await begin()
  await complete(started.enrollmentId, signCompletion(started, identity.identityKey))
  const other = signCompletion(started, makeIdentity().identityKey)
  expect(refusal(await complete(started.enrollmentId, other))).toEqual({ status: 409, code: 'challenge_expired' })
})

test('a challenge is answered within five minutes or not at all', async () => {
  const { started, identity } = await begin()
  service.time.now = started.expiresAt
  await service.tick()
  const answer = await complete(started.enrollmentId, signCompletion(started, identity.identityKey))
  expect(refusal(answer)).toEqual({ status: 409, code: 'challenge_expired' })
})

test('beginning again makes a new challenge, and the old one is no longer answered', async () => {
  const { credential, started, identity } = await begin()
  const second = await startEnrollment(service, credential)
  expect(second.challenge).not.toEqual(started.challenge)
  const old = await complete(started.enrollmentId, signCompletion(started, identity.identityKey))
  expect(refusal(old)).toEqual({ status: 409, code: 'trust_mismatch' })
  const third = await startEnrollment(service, credential)
  expect((await complete(third.enrollmentId, signCompletion(third, identity.identityKey))).status).toBe(201)
})

test('a used token is refused, and so are an unknown, a revoked and an expired one and a wrong secret', async () => {
  const used = await begin()
  await complete(used.started.enrollmentId, signCompletion(used.started, used.identity.identityKey))
  const revoked = await createToken(service)
  await call(service, 'DELETE', `/v1/enrollment-tokens/${revoked.id}`, { token: service.adminToken })
  const expired = await createToken(service, { ttlSeconds: 60 })
  const wrong = await createToken(service)
  service.time.now += 60_000
  const [id] = wrong.credential.split('.')
  const bodies = []
  for (const token of [
    used.credential,
    revoked.credential,
    expired.credential,
    `${id}.${'A'.repeat(43)}`,
    `01a20218-ebc8-7df6-9039-16445e847b36.${'A'.repeat(43)}`,
    'nonsense',
    `${wrong.credential}.${wrong.pin}`,
  ]) {
    const answer = await call(service, 'POST', '/v1/enrollments', { body: { token } })
    expect(refusal(answer), token).toEqual({ status: 401, code: 'enrollment_refused' })
    bodies.push({ ...answer.body, requestId: '' })
  }
  expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1)
})

test('a token that is revoked after its challenge was given enrols nobody', async () => {
  const { id, started, identity } = await begin()
  await call(service, 'DELETE', `/v1/enrollment-tokens/${id}`, { token: service.adminToken })
  const answer = await complete(started.enrollmentId, signCompletion(started, identity.identityKey))
  expect(refusal(answer)).toEqual({ status: 401, code: 'enrollment_refused' })
})

test('a device’s token does not enrol a coordinator, and a name that the token fixes is that name', async () => {
  const device = await begin()
  const asCoordinator = signCompletion(device.started, device.identity.identityKey, { kind: 'coordinator' })
  const kind = await complete(device.started.enrollmentId, asCoordinator)
  expect(kind).toMatchObject({ status: 403, body: { code: 'kind_mismatch', field: 'kind' } })
  const named = await begin({ name: 'edge-7' })
  const other = signCompletion(named.started, named.identity.identityKey, { name: 'edge-8' })
  const name = await complete(named.started.enrollmentId, other)
  expect(name).toMatchObject({ status: 403, body: { code: 'kind_mismatch', field: 'name' } })
})

test('who was given a foreign trust bundle is refused, nothing is enrolled, and an event says so', async () => {
  const { id, started, identity } = await begin()
  const foreign = { ...started.trust, trustDomain: 'attacker.example' }
  const count = await countPrincipals()
  const answer = await complete(started.enrollmentId, signCompletion(started, identity.identityKey, { trust: foreign }))
  expect(refusal(answer)).toEqual({ status: 409, code: 'trust_mismatch' })
  expect(await countPrincipals()).toBe(count)
  const { rows } = await service.database.sql.query(
    `select entry::jsonb ->> 'severity' as severity, entry::jsonb -> 'data' as data from audit_outbox
      where entry::jsonb ->> 'type' = 'enrollment.mismatched' and entry::jsonb -> 'subject' ->> 'enrollmentTokenId' = $1`,
    [id],
  )
  expect(rows).toEqual([{ severity: 'critical', data: { code: 'trust_mismatch' } }])
})

test('a signature that does not cover the evidence, the name or the key is refused', async () => {
  for (const change of [
    { evidence: [{ format: 'none', claims: { os: 'other' } }] },
    { name: 'other' },
    {
      identityKey: {
        alg: 'ML-DSA-44',
        publicKey: Buffer.from(makeIdentity().identityKey.publicKey).toString('base64url'),
      },
    },
  ]) {
    const { started, identity } = await begin()
    const body = { ...signCompletion(started, identity.identityKey), ...change }
    expect(refusal(await complete(started.enrollmentId, body))).toEqual({ status: 409, code: 'trust_mismatch' })
  }
})

test('an identity key enrols once in its organization', async () => {
  const first = await begin()
  await complete(first.started.enrollmentId, signCompletion(first.started, first.identity.identityKey))
  const second = await begin()
  const answer = await complete(second.started.enrollmentId, signCompletion(second.started, first.identity.identityKey))
  expect(refusal(answer)).toEqual({ status: 400, code: 'key_invalid' })
})

test('a public key with an all-zero t1 is refused', async () => {
  const { started, identity } = await begin()
  const body = signCompletion(started, identity.identityKey)
  const publicKey = Buffer.alloc(1312)
  publicKey.fill(7, 0, 32)
  const answer = await complete(started.enrollmentId, {
    ...body,
    identityKey: { alg: 'ML-DSA-44', publicKey: publicKey.toString('base64url') },
  })
  expect(answer).toMatchObject({ status: 400, body: { code: 'key_invalid', field: 'identityKey.publicKey' } })
})

test('evidence that the policy does not take is refused by name', async () => {
  for (const evidence of [
    [{ format: 'tpm2' }],
    [{ format: 'none' }, { format: 'none' }],
    [{ format: 'none', quote: 'x' }],
  ]) {
    const { started, identity } = await begin()
    const body = signCompletion(started, identity.identityKey, { evidence })
    const answer = await complete(started.enrollmentId, body)
    expect(answer).toMatchObject({ status: 400, body: { code: 'malformed', field: 'evidence' } })
  }
})

test('a policy that is not built in is malformed for now', async () => {
  const body = { kind: 'device', policyId: '0197b2f0-0000-7000-8000-0000000000fe' }
  const answer = await call(service, 'POST', '/v1/enrollment-tokens', { token: service.adminToken, body })
  expect(answer).toMatchObject({ status: 400, body: { code: 'malformed', field: 'policyId' } })
})

test('an enrolled coordinator exchanges like a device', async () => {
  const { started, identity } = await begin({ kind: 'coordinator' })
  const body = signCompletion(started, identity.identityKey, { kind: 'coordinator' })
  const { deviceId } = (await complete(started.enrollmentId, body)).body
  expect((await sendExchange(service, (await initiate(service, { deviceId, ...identity })).wire)).status).toBe(201)
})
