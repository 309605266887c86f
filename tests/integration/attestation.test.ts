import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromBase64url } from '../../protocol/encoding.ts'
import { verifyJws } from '../../protocol/jws.ts'
import { call, establish, makeIdentity, stored } from '../support/api.ts'
import { attest, signAttestation, startAttestation, submitAttestation } from '../support/attestation.ts'
import { kidOf, rotate } from '../support/identity-rotation.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { enterService, exchangeAgain, type TestParty } from '../support/rounds.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

/** The frame of a re-attestation, with devices that only prove their keys: what it takes to be heard at all. */

let service: TestService
beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

async function begin(kind: 'device' | 'coordinator' = 'device') {
  const party = await enterService(service, kind)
  const started = await startAttestation(service, party)
  const submit = (body: unknown, by: Pick<TestParty, 'accessToken'> = party) =>
    submitAttestation(service, by, started.attestationId, body)
  return { party, started, submit }
}

const eventsOf = async (deviceId: string) => (await stored(service, deviceId)).events

async function resultsOf(deviceId: string) {
  const { rows } = await service.database.sql.query(
    'select id, session_id, kid, tier from attestation_result where principal_id = $1 order by id',
    [deviceId],
  )
  return rows
}

describe('an attestation', () => {
  test.each(['device', 'coordinator'] as const)(
    'of a %s gives a signed result for its session and key, and leaves its status as it is',
    async (kind) => {
      const { party, started, submit } = await begin(kind)
      expect(started).toMatchObject({ sessionId: party.sessionId, evidence: ['none'] })
      const { status, body } = await submit(signAttestation(party, started))
      expect({ status, body }).toMatchObject({
        status: 200,
        body: { deviceId: party.deviceId, status: 'ACTIVE', attestation: { tier: 'none', policyId: 'none' } },
      })
      // A policy that asks for nothing but the key never makes it due.
      expect(body.nextAttestationAt).toBeUndefined()
      const kid = kidOf(party.identityKey)
      expect((await resultsOf(party.deviceId)).at(-1)).toEqual({
        id: body.attestation.id,
        session_id: party.sessionId,
        kid,
        tier: 'none',
      })
      const [key] = (await call(service, 'GET', '/.well-known/jwks.json')).body.keys
      const signer = crypto.importVerificationKey('ML-DSA-44', fromBase64url(key.pub))
      expect(verifyJws(crypto, body.attestation.ear, signer)).toMatchObject({ cnf: { jwk: { kid } } })
      expect(await eventsOf(party.deviceId)).toMatchObject({
        'device.attestation_challenged': 1,
        'device.attested': 1,
      })
    },
  )

  test('can follow another, each with a challenge of its own', async () => {
    const party = await enterService(service)
    const first = await attest(service, party)
    const second = await attest(service, party)
    expect([first.status, second.status]).toEqual([200, 200])
    expect(first.body.attestation.id).not.toBe(second.body.attestation.id)
    expect(await resultsOf(party.deviceId)).toHaveLength(3)
  })
})

describe('the same signed submission again', () => {
  test('gives the same answer until the challenge would have expired, and changes nothing', async () => {
    const { party, started, submit } = await begin()
    const body = signAttestation(party, started)
    const first = await submit(body)
    const before = await databaseContents(service)
    expect([(await submit(body)).body, await databaseContents(service)]).toEqual([first.body, before])
  })

  test('and 20 copies of it at once are one result', async () => {
    const { party, started, submit } = await begin()
    const body = signAttestation(party, started)
    const answers = await Promise.all(Array.from({ length: 20 }, () => submit(body)))
    expect(new Set(answers.map((answer) => `${answer.status} ${answer.body.attestation?.id}`)).size).toBe(1)
    expect(answers[0]?.status).toBe(200)
    expect(await resultsOf(party.deviceId)).toHaveLength(2)
    expect(await eventsOf(party.deviceId)).toMatchObject({ 'device.attested': 1 })
  })

  test('with other evidence or another signature is another one: a challenge is answered once', async () => {
    const { party, started, submit } = await begin()
    await submit(signAttestation(party, started))
    const others = [signAttestation(party, started), signAttestation(party, started, [{ format: 'none', claims: {} }])]
    for (const other of others) expectRefusal(await submit(other), 409, 'challenge_expired')
    expect(await resultsOf(party.deviceId)).toHaveLength(2)
  })
})

describe('a challenge', () => {
  test('is given again while it can be answered, without a second event, and is a new one afterwards', async () => {
    const { party, started, submit } = await begin()
    const before = await databaseContents(service)
    expect(await startAttestation(service, party)).toEqual(started)
    expect(await databaseContents(service)).toEqual(before)
    await submit(signAttestation(party, started))
    const later = await startAttestation(service, party)
    expect(later.attestationId).not.toBe(started.attestationId)
    expect(later.challenge).not.toEqual(started.challenge)
    expectRefusal(await submit(signAttestation(party, started)), 404, 'not_found')
  })

  test('that has expired is not answered, and the next one is new', async () => {
    const { party, started, submit } = await begin()
    service.time.now = started.expiresAt
    await service.tick()
    const next = await exchangeAgain(service, party)
    const before = await databaseContents(service)
    expectRefusal(await submit(signAttestation(party, started), next), 409, 'challenge_expired')
    expect(await databaseContents(service)).toEqual(before)
    expect((await startAttestation(service, next)).challenge).not.toEqual(started.challenge)
  })

  test('is in no table in clear', async () => {
    const { started } = await begin()
    const { rows } = await service.database.sql.query<{ row: string }>(
      'select t::text as row from attestation_challenge t',
    )
    expect(rows.some(({ row }) => row.includes(started.attestationId))).toBe(true)
    const hex = Buffer.from(started.challenge).toString('hex')
    expect(rows.filter(({ row }) => row.includes(hex))).toEqual([])
  })

  test('of another device answers nothing, and neither does another’s token', async () => {
    const mine = await begin()
    const others = await begin()
    const before = await databaseContents(service)
    const body = signAttestation(mine.party, others.started)
    expectRefusal(await mine.submit(body, others.party), 404, 'not_found')
    expectRefusal(await others.submit(body, mine.party), 404, 'not_found')
    expect(await databaseContents(service)).toEqual(before)
    expect((await mine.submit(signAttestation(mine.party, mine.started))).status).toBe(200)
  })

  test('is for the session that asked: one that a newer session took over from answers it no more', async () => {
    const { party, started, submit } = await begin()
    const newer = await exchangeAgain(service, party)
    const body = signAttestation(party, started)
    expectRefusal(await submit(body), 409, 'session_state')
    expectRefusal(await submit(body, newer), 409, 'challenge_expired')
    const old = await call(service, 'POST', '/v1/attestations', { token: party.accessToken, body: {} })
    expectRefusal(old, 409, 'session_state')
    const again = await startAttestation(service, newer)
    expect(again.sessionId).toBe(newer.sessionId)
    expect(again.challenge).not.toEqual(started.challenge)
  })

  test('that a writer of the database gave to another session or device opens nothing', async () => {
    const { party, started, submit } = await begin()
    const other = await enterService(service)
    const { sql } = service.database
    await sql.query('update attestation_challenge set session_id = $2 where principal_id = $1', [
      party.deviceId,
      other.sessionId,
    ])
    expectRefusal(await submit(signAttestation(party, { ...started, sessionId: other.sessionId })), 500, 'internal')
    await sql.query('update attestation_challenge set principal_id = $2, session_id = $3 where principal_id = $1', [
      party.deviceId,
      other.deviceId,
      other.sessionId,
    ])
    const moved = signAttestation(other, { ...started, sessionId: other.sessionId })
    expectRefusal(await submit(moved, other), 500, 'internal')
    expect(await resultsOf(other.deviceId)).toHaveLength(1)
  })
})

describe('a submission that the identity key did not sign as it should', () => {
  const stranger = makeIdentity()
  const wishes: Record<string, (made: Awaited<ReturnType<typeof begin>>) => Parameters<typeof signAttestation>[3]> = {
    'by a stranger': () => ({ signer: stranger.identityKey }),
    'for another device': ({ started }) => ({ deviceId: started.attestationId }),
    'for another key': () => ({ kid: kidOf(stranger.identityKey) }),
    'for another session': ({ party }) => ({ sessionId: party.deviceId }),
    'over another challenge': () => ({ challenge: crypto.randomBytes(32) }),
    'over other evidence': () => ({ signed: [{ format: 'none', claims: {} }] }),
    'under the context of a rotation': () => ({ context: 'QFLARE-v1 rotate' }),
    'under no context': () => ({ context: '' }),
  }
  test.each(Object.entries(wishes))('%s: changes nothing, and tells of it once', async (_what, wish) => {
    const made = await begin()
    const { party, started, submit } = made
    const wrong = signAttestation(party, started, undefined, wish(made))
    expectRefusal(await submit(wrong), 401, 'attestation_refused')
    const before = await databaseContents(service)
    expectRefusal(await submit(wrong), 401, 'attestation_refused')
    expect(await databaseContents(service)).toEqual(before)
    expect(await eventsOf(party.deviceId)).toMatchObject({ 'device.attestation_mismatched': 1 })
    expect((await submit(signAttestation(party, started))).status).toBe(200)
  })

  test('under a key that was swapped in the database is refused, whoever signed', async () => {
    const { party, started, submit } = await begin()
    await service.database.sql.query('update identity_key set public_key = $2 where principal_id = $1', [
      party.deviceId,
      stranger.identityKey.publicKey,
    ])
    const body = signAttestation({ ...party, ...stranger }, started, undefined, { kid: kidOf(party.identityKey) })
    expectRefusal(await submit(body), 401, 'attestation_refused')
  })
})

describe('evidence that cannot be appraised', () => {
  const pieces = {
    'of another format': [{ format: 'tpm2' }],
    'that is no evidence of its format': [{ format: 'none', more: 1 }],
    twice: [{ format: 'none' }, { format: 'none' }],
  }
  test.each(Object.entries(pieces))(
    '%s: spends the challenge, is told, and quarantines nobody',
    async (_what, evidence) => {
      const { party, started, submit } = await begin()
      expectRefusal(await submit(signAttestation(party, started, evidence)), 400, 'malformed', 'evidence')
      expectRefusal(await submit(signAttestation(party, started, evidence)), 409, 'challenge_expired')
      expect(await eventsOf(party.deviceId)).toMatchObject({ 'device.attestation_refused': 1 })
      expect((await attest(service, party)).body.status).toBe('ACTIVE')
    },
  )
})

describe('a device that is not ACTIVE', () => {
  test.each(['suspend', 'revoke'])('after %s begins no attestation, and completes none', async (action) => {
    const { party, started, submit } = await begin()
    const path = `/v1/devices/${party.deviceId}/${action}`
    await call(service, 'POST', path, { token: service.adminToken, body: {} })
    const before = await databaseContents(service)
    expectRefusal(await submit(signAttestation(party, started)), 401, 'unauthenticated')
    const again = await call(service, 'POST', '/v1/attestations', { token: party.accessToken, body: {} })
    expectRefusal(again, 401, 'unauthenticated')
    expect(await databaseContents(service)).toEqual(before)
  })

  test('but has another identity key by now: attests with that one, in a session of it', async () => {
    const { party, started, submit } = await begin()
    const rotated = await rotate(service, party)
    expectRefusal(await submit(signAttestation(party, started)), 401, 'unauthenticated')
    const next = { ...rotated, ...(await establish(service, rotated)) }
    expectRefusal(await submit(signAttestation(next, started), next), 409, 'challenge_expired')
    expect((await attest(service, next)).status).toBe(200)
  })
})
