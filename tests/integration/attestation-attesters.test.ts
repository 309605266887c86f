import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../../protocol/encoding.ts'
import { attestationBinding } from '../../protocol/enrollment.ts'
import { createToken, establish, makeIdentity, signCompletion, startEnrollment } from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { completeRotation, kidOf, signRotation, startRotation } from '../support/identity-rotation.ts'
import { createPolicy, noneDocument } from '../support/policies.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import type { TestParty } from '../support/rounds.ts'
import { crypto, type TestService } from '../support/service.ts'
import { complete, createTpmPolicy, enterWithTpm, quoteOf } from '../support/tpm/device.ts'
import { lastEvent, newTpm, startTpmService } from '../support/tpm/service.ts'
import type { SoftwareTpm } from '../support/tpm/software-tpm.ts'

/** What is known of attesters, and what policies of later make of it. */

let service: TestService
beforeAll(async () => {
  service = await startTpmService()
})
afterAll(() => service.close())

async function statesOf(deviceId: string) {
  const { rows } = await service.database.sql.query('select * from attester_state where principal_id = $1', [deviceId])
  return rows
}

async function begin() {
  const tpm = newTpm()
  return { tpm, party: await enterWithTpm(service, tpm, 'edge') }
}

/** Its quote for the new key of a rotation, made by this TPM. */
async function rotateWith(party: TestParty, tpm: SoftwareTpm, next = makeIdentity()) {
  const started = await startRotation(service, party, party.accessToken)
  const { alg, publicKey } = next.identityKey
  const binding = attestationBinding(crypto, { challenge: started.challenge, alg, publicKey, sessionId: undefined })
  const body = signRotation(party, started, next.identityKey, { evidence: [quoteOf(tpm, binding)] })
  return { started, next, answer: await completeRotation(service, party.deviceId, started.challengeId, body) }
}

describe('the state of an attester', () => {
  test('is what its newest evidence said, under a MAC of its own', async () => {
    const { tpm, party } = await begin()
    const [before] = await statesOf(party.deviceId)
    await service.database.sql.query('update principal set attestations_missed = 2 where id = $1', [party.deviceId])
    service.time.now += 1_000
    await attest(service, party, (binding) => {
      const later = {
        ...tpm,
        quote: (given: Parameters<typeof tpm.quote>[0]) => tpm.quote({ ...given, changes: { clock: 99_000 } }),
      }
      return [quoteOf(later, binding)]
    })
    const [after] = await statesOf(party.deviceId)
    expect([JSON.parse(before.state).clock, JSON.parse(after.state).clock]).toEqual([60_000, 99_000])
    expect(after).toMatchObject({ attester_id: before.attester_id, released_at: null })
    expect(after.updated_at.getTime()).toBe(service.time.now)
    expect(after.mac).not.toEqual(before.mac)
    const { rows } = await service.database.sql.query(
      'select attestations_missed, next_attestation_at from principal where id = $1',
      [party.deviceId],
    )
    expect(rows).toEqual([{ attestations_missed: 0, next_attestation_at: new Date(service.time.now + 300_000) }])
  })

  const moves: Record<string, string> = {
    'another attester': `attester_id = o.attester_id`,
    'another state': `state = o.state`,
    'all that another device has': `attester_id = o.attester_id, state = o.state, mac = o.mac`,
  }
  test.each(Object.entries(moves))(
    'that a writer of the database replaced by %s is used for nothing',
    async (_what, change) => {
      const [mine, other] = [await begin(), await begin()]
      const { sql } = service.database
      await sql.query('update attester_state set released_at = now() where principal_id = $1', [other.party.deviceId])
      await sql.query(
        `update attester_state s set ${change} from attester_state o where s.principal_id = $1 and o.principal_id = $2`,
        [mine.party.deviceId, other.party.deviceId],
      )
      const before = await statesOf(mine.party.deviceId)
      for (const { tpm } of [mine, other]) {
        const answer = await attest(service, mine.party, (binding) => [quoteOf(tpm, binding)])
        expectRefusal(answer, 500, 'internal')
      }
      expect(await statesOf(mine.party.deviceId)).toEqual(before)
      expectRefusal((await rotateWith(mine.party, other.tpm)).answer, 500, 'internal')
    },
  )
})

describe('a rotation of the identity key', () => {
  test('wants evidence of the same TPM for the new key, and the next attestation is of both', async () => {
    const { tpm, party } = await begin()
    const { answer, next } = await rotateWith(party, tpm)
    expect(answer).toMatchObject({
      status: 200,
      body: { identityKey: { kid: kidOf(next.identityKey) }, attestation: { tier: 'affirming', policyId: 'edge@1' } },
    })
    const rotated = { deviceId: party.deviceId, ...next }
    const session = { ...rotated, ...(await establish(service, rotated)) }
    const again = await attest(service, session, (binding) => [quoteOf(tpm, binding)])
    expect(again.body).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming' } })
  })

  test('with evidence of another TPM, or for another key, is refused, and quarantines nobody', async () => {
    const { tpm, party } = await begin()
    expectRefusal((await rotateWith(party, newTpm())).answer, 403, 'evidence_refused', 'evidence')
    const started = await startRotation(service, party, party.accessToken)
    const { alg, publicKey } = party.identityKey
    const binding = attestationBinding(crypto, { challenge: started.challenge, alg, publicKey, sessionId: undefined })
    const body = signRotation(party, started, makeIdentity().identityKey, { evidence: [quoteOf(tpm, binding)] })
    const answer = await completeRotation(service, party.deviceId, started.challengeId, body)
    expectRefusal(answer, 403, 'evidence_refused', 'evidence')
    expect((await attest(service, party, (own) => [quoteOf(tpm, own)])).body.status).toBe('ACTIVE')
  })
})

describe('a policy that got a newer version', () => {
  async function enterOf(policyId: string, evidence: Json[] = [{ format: 'none' }]): Promise<TestParty> {
    const started = await startEnrollment(service, (await createToken(service, { policyId })).credential)
    const identity = makeIdentity()
    const { body } = await complete(service, started, signCompletion(started, identity.identityKey, { evidence }))
    const device = { deviceId: body.deviceId, ...identity }
    return { ...device, ...(await establish(service, device)) }
  }

  test('appraises who enrolled under its name; who enrolled under one version stays with that', async () => {
    await createTpmPolicy(service, 'moving')
    const [named, fixed] = [newTpm(), newTpm()]
    const byName = await enterWithTpm(service, named, 'moving')
    const byVersion = await enterWithTpm(service, fixed, 'moving@1')
    const restarts = { rules: { restarts: 'warning' }, referenceValues: ['boot'] }
    await createTpmPolicy(service, 'moving', { evidence: { tpm2: restarts } })
    const first = await attest(service, byName, (binding) => [quoteOf(named, binding)])
    const second = await attest(service, byVersion, (binding) => [quoteOf(fixed, binding)])
    expect([first, second].map(({ body }) => body.attestation.policyId)).toEqual(['moving@2', 'moving@1'])
  })

  test('and wants a TPM from then on refuses who never activated one, and holds nothing against it', async () => {
    await createPolicy(service, 'growing', noneDocument)
    const party = await enterOf('growing')
    const { rows } = await service.database.sql.query('select next_attestation_at from principal where id = $1', [
      party.deviceId,
    ])
    expect(rows).toEqual([{ next_attestation_at: null }])
    await createTpmPolicy(service, 'growing')
    const before = await databaseContents(service)
    const answer = await attest(service, party, (binding) => [quoteOf(newTpm(), binding)])
    expectRefusal(answer, 403, 'evidence_refused', 'evidence')
    expect(await lastEvent(service, 'device.attestation_refused')).toMatchObject({
      subject: { deviceId: party.deviceId },
      data: { code: 'evidence_refused' },
    })
    const { principal, session, attester_state } = await databaseContents(service)
    expect(before).toMatchObject({ principal, session, attester_state })
  })
})
