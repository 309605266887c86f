import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  call,
  createToken,
  establish,
  makeIdentity,
  refusal,
  signCompletion,
  startEnrollment,
  stored,
} from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { crypto, type TestService } from '../support/service.ts'
import { makeTenant } from '../support/tenants.ts'
import {
  activate,
  askCredential,
  complete,
  createTpmPolicy,
  enrollingEvidence,
  enrollTpm,
  keysOf,
  quoteOf,
  tpmNamed,
} from '../support/tpm/device.ts'
import { toText } from '../support/tpm/evidence.ts'
import { lastEvent, newTpm, startTpmService, trustTestTpms } from '../support/tpm/service.ts'

let service: TestService
beforeAll(async () => {
  service = await startTpmService()
})
afterAll(() => service.close())

async function begin(policyId = 'edge') {
  const token = await createToken(service, { policyId })
  const started = await startEnrollment(service, token.credential)
  return { token, started, tpm: newTpm() }
}

/** A completion with an identity of its own. */
function completionOf(
  { started, tpm }: Pick<Awaited<ReturnType<typeof begin>>, 'started' | 'tpm'>,
  secret: Uint8Array,
  members: Record<string, string> = {},
) {
  const { identityKey } = makeIdentity()
  const evidence = [{ ...enrollingEvidence(tpm, started, identityKey, { secret }), ...members }]
  return signCompletion(started, identityKey, { evidence })
}

describe('an enrolment with a TPM', () => {
  test.each(['RSA-2048', 'P-256', 'P-384'] as const)(
    'with an EK of %s: is affirmed, and what it has to do next is to attest',
    async (kind) => {
      const tpm = tpmNamed(`EK ${kind}`, kind)
      const { answer, identity } = await enrollTpm(service, tpm, 'edge')
      expect(answer).toMatchObject({
        status: 201,
        body: { status: 'ACTIVE', attestation: { tier: 'affirming', policyId: 'edge@1' } },
      })
      const device = { deviceId: answer.body.deviceId, ...identity }
      const session = { ...device, ...(await establish(service, device)) }
      const { rows } = await service.database.sql.query(
        'select next_attestation_at, attestations_missed, policy_id from principal where id = $1',
        [device.deviceId],
      )
      const next = new Date(service.time.now + 300_000)
      expect(rows).toEqual([{ next_attestation_at: next, attestations_missed: 0, policy_id: 'edge' }])
      const again = await attest(service, session, (binding) => [quoteOf(tpm, binding)])
      expect(again.body).toMatchObject({
        status: 'ACTIVE',
        attestation: { tier: 'affirming' },
        nextAttestationAt: next.getTime(),
      })
    },
  )

  test('is counted by format and tier', async () => {
    await enrollTpm(service, newTpm(), 'edge')
    const { body } = await call(service, 'GET', '/metrics')
    expect(body).toMatch(/^qflare_attestations_total\{format="tpm2",tier="affirming"\} [1-9]/m)
  })

  test('without a credential, or with another secret, is refused by the check of its name', async () => {
    const without = await begin()
    expectRefusal(
      await complete(service, without.started, completionOf(without, crypto.randomBytes(32))),
      403,
      'evidence_refused',
      'evidence',
    )
    const wrong = await begin()
    await activate(service, wrong.started, wrong.tpm)
    const answer = await complete(service, wrong.started, completionOf(wrong, crypto.randomBytes(32)))
    expectRefusal(answer, 403, 'evidence_refused', 'evidence')
    expect(answer.body.detail).toContain('tpm2.activation')
  })

  test('that begins again needs a credential again: the secret of the challenge before is worth nothing', async () => {
    const { token, started, tpm } = await begin()
    const secret = await activate(service, started, tpm)
    const again = await startEnrollment(service, token.credential)
    const answer = await complete(service, again, completionOf({ started: again, tpm }, secret))
    expectRefusal(answer, 403, 'evidence_refused', 'evidence')
  })
})

describe('a credential', () => {
  test('is given once for a challenge, and once more for the next', async () => {
    const { token, started, tpm } = await begin()
    await activate(service, started, tpm)
    const before = await databaseContents(service)
    expectRefusal(await askCredential(service, started.enrollmentId, keysOf(tpm)), 409, 'challenge_expired')
    expect(await databaseContents(service)).toEqual(before)
    const again = await startEnrollment(service, token.credential)
    const secret = await activate(service, again, tpm)
    expect((await complete(service, again, completionOf({ started: again, tpm }, secret))).status).toBe(201)
  })

  test('is given to one of two who ask at once', async () => {
    const { started, tpm } = await begin()
    const answers = await Promise.all([1, 2].map(() => askCredential(service, started.enrollmentId, keysOf(tpm))))
    expect(answers.map(({ status }) => String(status)).toSorted()).toEqual(['200', '409'])
  })

  const bad = {
    'whose certificate leads to no trust anchor': [{ ekChain: [] }, 403, 'evidence_refused'],
    'that are none': [{ akPublic: 'AAAA' }, 400, 'malformed'],
    'with more than they have': [{ more: 1 }, 400, 'malformed'],
  } as const
  test.each(Object.entries(bad))('for keys %s: is refused, told, and the attempt is spent', async (_what, row) => {
    const [change, status, code] = row
    const { started, tpm } = await begin()
    expectRefusal(await askCredential(service, started.enrollmentId, { ...keysOf(tpm), ...change }), status, code)
    expect(await lastEvent(service, 'enrollment.credential_refused')).toMatchObject({
      subject: { enrollmentTokenId: started.enrollmentId },
      data: { code },
    })
    expectRefusal(await askCredential(service, started.enrollmentId, keysOf(tpm)), 409, 'challenge_expired')
  })

  test('is not for a policy without keys to activate, an unknown enrolment, or one that is over', async () => {
    const none = await begin('none')
    const spent = await begin()
    const late = await begin()
    const secret = await activate(service, spent.started, spent.tpm)
    expect((await complete(service, spent.started, completionOf(spent, secret))).status).toBe(201)
    const before = await databaseContents(service)
    const ask = (id: string, { tpm } = none) => askCredential(service, id, keysOf(tpm))
    expectRefusal(await ask(none.started.enrollmentId), 400, 'malformed')
    expectRefusal(await ask(service.time.now.toString()), 404, 'not_found')
    expectRefusal(await ask(spent.started.enrollmentId), 401, 'enrollment_refused')
    service.time.now = late.started.expiresAt
    expectRefusal(await ask(late.started.enrollmentId), 409, 'challenge_expired')
    expect(await databaseContents(service)).toEqual(before)
    await service.tick()
  })

  test('leaves its secret in no table in clear, and what a writer of the database moves opens nothing', async () => {
    const mine = await begin()
    const others = await begin()
    const secret = await activate(service, mine.started, mine.tpm)
    const { sql } = service.database
    const { rows } = await sql.query<{ row: string }>('select t::text as row from challenge t')
    const forms = [secret.toString('hex'), toText(secret)]
    expect(rows.filter(({ row }) => forms.some((form) => row.includes(form)))).toEqual([])
    await sql.query(
      `update challenge set credential_at = now(),
          sealed_activation = (select sealed_activation from challenge where id = $2) where id = $1`,
      [others.started.enrollmentId, mine.started.enrollmentId],
    )
    const moved = completionOf({ started: others.started, tpm: mine.tpm }, secret)
    expectRefusal(await complete(service, others.started, moved), 500, 'internal')
    expect((await complete(service, mine.started, completionOf(mine, secret))).status).toBe(201)
  })
})

describe('one live device per attester and organization', () => {
  test('a TPM that is enrolled is refused to another token, which is not told whose it is', async () => {
    const tpm = newTpm()
    const { deviceId } = (await enrollTpm(service, tpm, 'edge')).answer.body
    const { answer, started } = await enrollTpm(service, tpm, 'edge')
    expectRefusal(answer, 403, 'evidence_refused', 'evidence')
    expect(answer.body.detail).toContain('tpm2.attester_in_use')
    expect(JSON.stringify(answer.body)).not.toContain(deviceId)
    expect(await lastEvent(service, 'enrollment.refused')).toMatchObject({
      subject: { enrollmentTokenId: started.enrollmentId },
      data: { code: 'evidence_refused' },
    })
  })

  test('of two enrolments at once, one comes in', async () => {
    for (let round = 0; round < 3; round++) {
      const tpm = newTpm()
      const both = await Promise.all(
        [1, 2].map(async () => {
          const made = { ...(await begin()), tpm }
          return { made, body: completionOf(made, await activate(service, made.started, tpm)) }
        }),
      )
      const answers = await Promise.all(both.map(({ made, body }) => complete(service, made.started, body)))
      expect(answers.map(({ status }) => String(status)).toSorted()).toEqual(['201', '403'])
    }
  })

  test.each(['suspend', 'revoke'])('after %s: only who is revoked lets its TPM enrol again', async (action) => {
    const tpm = newTpm()
    const { deviceId } = (await enrollTpm(service, tpm, 'edge')).answer.body
    await call(service, 'POST', `/v1/devices/${deviceId}/${action}`, { token: service.adminToken, body: {} })
    const { answer } = await enrollTpm(service, tpm, 'edge')
    expect(answer.status).toBe(action === 'revoke' ? 201 : 403)
  })

  test('the TPM may be another organization’s too', async () => {
    const tpm = newTpm()
    await enrollTpm(service, tpm, 'edge')
    const tenant = await makeTenant(service, 'neighbour')
    await trustTestTpms(tenant)
    await createTpmPolicy(tenant, 'edge')
    expect((await enrollTpm(tenant, tpm, 'edge')).answer.status).toBe(201)
  })
})

test('two devices that swap evidence, keys or challenges at their enrolment are refused', async () => {
  const [a, b] = [await begin(), await begin()]
  const secrets = [await activate(service, a.started, a.tpm), await activate(service, b.started, b.tpm)] as const
  const { identityKey } = makeIdentity()
  const ofA = enrollingEvidence(a.tpm, a.started, identityKey, { secret: secrets[0] })
  const before = await stored(service, a.started.enrollmentId)
  // The challenge of A in the place of B's own: nothing is spent.
  const challenged = signCompletion({ ...b.started, challenge: a.started.challenge }, identityKey, { evidence: [ofA] })
  expect(refusal(await complete(service, b.started, challenged))).toEqual({ status: 409, code: 'trust_mismatch' })
  // Each spends the challenge: the next is tried under a new one, with a credential of its own.
  type Swap = (secret: Uint8Array) => ReturnType<typeof keysOf>
  const swaps: Record<string, Swap> = {
    'the TPM of A, bound to the enrolment of B': (secret) =>
      enrollingEvidence(a.tpm, b.started, identityKey, { secret }),
    'the evidence of A': () => ofA,
    'the evidence of A with the certificate of B': (secret) => ({
      ...ofA,
      ...keysOf(b.tpm),
      activatedSecret: toText(secret),
    }),
  }
  let secretOfB = secrets[1]
  for (const [what, swap] of Object.entries(swaps)) {
    const evidence = [swap(secretOfB)]
    const answer = await complete(service, b.started, signCompletion(b.started, identityKey, { evidence }))
    expect(refusal(answer), what).toEqual({ status: 403, code: 'evidence_refused' })
    b.started = await startEnrollment(service, b.token.credential)
    secretOfB = await activate(service, b.started, b.tpm)
  }
  expect(await stored(service, a.started.enrollmentId)).toEqual(before)
  const own = enrollingEvidence(a.tpm, a.started, identityKey, { secret: secrets[0] })
  const answer = await complete(service, a.started, signCompletion(a.started, identityKey, { evidence: [own] }))
  expect(answer.status).toBe(201)
})
