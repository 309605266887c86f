import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromBase64url } from '../../protocol/encoding.ts'
import { verifyJws } from '../../protocol/jws.ts'
import {
  call,
  confirm,
  enrollTestDevice,
  establish,
  initiate,
  makeIdentity,
  openExchange,
  refusal,
  sendExchange,
  stored,
  type TestDevice,
} from '../support/api.ts'
import { completeRotation, kidOf, rotate, signRotation, startRotation } from '../support/identity-rotation.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

async function begin() {
  const device = await enrollTestDevice(service)
  const session = await establish(service, device)
  const started = await startRotation(service, device, session.accessToken)
  const next = makeIdentity()
  const complete = (body: unknown) => completeRotation(service, device.deviceId, started.challengeId, body)
  return { device, session, started, next, complete }
}

async function keysOf(deviceId: string) {
  const { rows } = await service.database.sql.query(
    'select kid, status, replaced_by from identity_key where principal_id = $1 order by created_at, status desc',
    [deviceId],
  )
  return rows
}

async function exchange(device: TestDevice) {
  return refusal(await sendExchange(service, (await initiate(service, device)).wire))
}

const eventsOf = async (deviceId: string) => (await stored(service, deviceId)).events

describe('a rotation', () => {
  test.each(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const)(
    'to a key of %s keeps the device, ends its sessions, and the old key is refused from then on',
    async (alg) => {
      const { device, session, started, complete } = await begin()
      const pending = await openExchange(service, device)
      const signedBefore = await initiate(service, device)
      const next = makeIdentity(alg)
      const { status, body } = await complete(signRotation(device, started, next.identityKey))
      const kid = kidOf(next.identityKey)
      expect({ status, body }).toMatchObject({
        status: 200,
        body: { deviceId: device.deviceId, status: 'ACTIVE', identityKey: { kid, alg }, attestation: { tier: 'none' } },
      })
      expect(await keysOf(device.deviceId)).toEqual([
        { kid: kidOf(device.identityKey), status: 'REPLACED', replaced_by: kid },
        { kid, status: 'ACTIVE', replaced_by: null },
      ])

      const path = `/v1/devices/${device.deviceId}`
      expect((await call(service, 'GET', path, { token: session.accessToken })).status).toBe(401)
      expect(refusal(await confirm(service, device, pending))).toEqual({ status: 409, code: 'session_state' })
      const { sessions, events } = await stored(service, device.deviceId)
      expect(sessions.map(({ state, has_keys }) => [state, has_keys])).toEqual([
        ['REVOKED', false],
        ['REVOKED', false],
      ])
      expect(events).toMatchObject({
        'device.rotation_challenged': 1,
        'device.identity_rotated': 1,
        'session.revoked': 2,
      })

      expectRefusal(await sendExchange(service, signedBefore.wire), 401, 'exchange_refused')
      expect(await exchange(device)).toEqual({ status: 401, code: 'exchange_refused' })
      const { accessToken } = await establish(service, { deviceId: device.deviceId, ...next })
      const shown = await call(service, 'GET', path, { token: accessToken })
      expect(shown.body).toMatchObject({
        id: device.deviceId,
        spiffeId: body.spiffeId,
        identityKey: { kid, alg, since: service.time.now, rotationDueSince: null },
      })
    },
  )

  test('gives a signed result for the new key, and the results for the old one are over', async () => {
    const { device, started, next, complete } = await begin()
    const { body } = await complete(signRotation(device, started, next.identityKey))
    const [key] = (await call(service, 'GET', '/.well-known/jwks.json')).body.keys
    const signer = crypto.importVerificationKey('ML-DSA-44', fromBase64url(key.pub))
    expect(verifyJws(crypto, body.attestation.ear, signer)).toMatchObject({
      sub: body.spiffeId,
      cnf: { jwk: { kid: kidOf(next.identityKey) } },
    })
    const { rows } = await service.database.sql.query(
      'select kid from attestation_result where principal_id = $1 and expires_at > $2',
      [device.deviceId, new Date(service.time.now)],
    )
    expect(rows).toEqual([{ kid: kidOf(next.identityKey) }])
  })

  test('is told in full by its event, and every session that ended by one of its own', async () => {
    const { device, session, started, next, complete } = await begin()
    await complete(signRotation(device, started, next.identityKey))
    const { rows } = await service.database.sql.query<{ entry: string }>(
      `select entry from audit_outbox where entry::jsonb -> 'subject' ->> 'deviceId' = $1 order by seq desc limit 2`,
      [device.deviceId],
    )
    const actor = { type: 'device', id: device.deviceId }
    expect(rows.map(({ entry }) => JSON.parse(entry))).toMatchObject([
      {
        type: 'device.identity_rotated',
        severity: 'notice',
        actor,
        data: {
          oldKid: kidOf(device.identityKey),
          kid: kidOf(next.identityKey),
          alg: 'ML-DSA-44',
          tier: 'none',
          policyId: 'none',
          sessions: 1,
        },
      },
      { type: 'session.revoked', actor, subject: { sessionId: session.sessionId }, data: { with: 'identity_key' } },
    ])
  })

  test('can follow another, of a coordinator too, and no key that was replaced comes back', async () => {
    const first = await enrollTestDevice(service, { kind: 'coordinator' })
    const second = await rotate(service, first)
    const third = await rotate(service, second)
    await establish(service, third)
    for (const old of [first, second]) {
      expect(await exchange(old)).toEqual({ status: 401, code: 'exchange_refused' })
    }
    const started = await startRotation(service, third)
    const back = signRotation(third, started, first.identityKey)
    expectRefusal(
      await completeRotation(service, third.deviceId, started.challengeId, back),
      400,
      'key_invalid',
      'identityKey',
    )
  })
})

describe('the same signed completion again', () => {
  test('gives the same answer until the challenge would have expired, and changes nothing', async () => {
    const { device, started, next, complete } = await begin()
    const body = signRotation(device, started, next.identityKey)
    const first = await complete(body)
    await establish(service, { deviceId: device.deviceId, ...next })
    service.time.now = started.expiresAt - 1
    await service.tick()
    const before = await databaseContents(service)
    const again = await complete(body)
    expect([again.status, again.body]).toEqual([200, first.body])
    service.time.now = started.expiresAt
    expectRefusal(await complete(body), 409, 'challenge_expired')
    expect(await databaseContents(service)).toEqual(before)
  })

  test('and 20 copies of it at once are one rotation', async () => {
    const { device, started, next, complete } = await begin()
    const body = signRotation(device, started, next.identityKey)
    const answers = await Promise.all(Array.from({ length: 20 }, () => complete(body)))
    expect(new Set(answers.map((answer) => `${answer.status} ${answer.body.attestation?.id}`)).size).toBe(1)
    expect(answers[0]?.status).toBe(200)
    expect(await eventsOf(device.deviceId)).toMatchObject({ 'device.identity_rotated': 1, 'session.revoked': 1 })
  })

  test('with other evidence or another signature of the same key is another one', async () => {
    const { device, started, next, complete } = await begin()
    const body = signRotation(device, started, next.identityKey)
    await complete(body)
    const signedAnew = signRotation(device, started, next.identityKey)
    for (const other of [signedAnew, { ...body, evidence: [{ format: 'none', claims: { os: 'other' } }] }]) {
      expectRefusal(await complete(other), 409, 'challenge_expired')
    }
  })
})

describe('the challenge of a rotation', () => {
  test('is given again while it can be answered, without a second event, and is a new one afterwards', async () => {
    const { device, session, started, next, complete } = await begin()
    const before = await databaseContents(service)
    expect(await startRotation(service, device, session.accessToken)).toEqual(started)
    expect(await databaseContents(service)).toEqual(before)
    service.time.now = started.expiresAt
    await service.tick()
    const expired = await databaseContents(service)
    for (const wish of [{}, { oldSigner: next.identityKey }]) {
      expectRefusal(await complete(signRotation(device, started, next.identityKey, wish)), 409, 'challenge_expired')
    }
    expect(await databaseContents(service)).toEqual(expired)
    const later = await startRotation(service, device)
    expect(later.challengeId).not.toBe(started.challengeId)
    expect(later.challenge).not.toEqual(started.challenge)
    expectRefusal(await complete(signRotation(device, later, next.identityKey)), 404, 'not_found')
  })

  test('is in no table in clear', async () => {
    const { started } = await begin()
    const { rows } = await service.database.sql.query<{ row: string }>(
      'select t::text as row from rotation_challenge t',
    )
    const hex = Buffer.from(started.challenge).toString('hex')
    expect(rows.some(({ row }) => row.includes(started.challengeId))).toBe(true)
    expect(rows.filter(({ row }) => row.includes(hex))).toEqual([])
  })

  test('is answered by one of two rotations at once; the other is told so, and its key is not the device’s', async () => {
    for (let round = 0; round < 4; round++) {
      const { device, started, complete } = await begin()
      const nexts = [makeIdentity(), makeIdentity()]
      const bodies = nexts.map(({ identityKey }) => signRotation(device, started, identityKey))
      const answers = await Promise.all(bodies.map(complete))
      expect(answers.map(({ status, body }) => `${body.code ?? status}`).toSorted()).toEqual([
        '200',
        'challenge_expired',
      ])
      const winner = answers.findIndex(({ status }) => status === 200)
      await establish(service, { deviceId: device.deviceId, ...(nexts[winner] as (typeof nexts)[number]) })
      const loser = { deviceId: device.deviceId, ...(nexts[1 - winner] as (typeof nexts)[number]) }
      expect(await exchange(loser)).toEqual({ status: 401, code: 'exchange_refused' })
    }
  })

  test('of another device, or of no rotation at all, answers nothing', async () => {
    const mine = await begin()
    const others = await begin()
    const body = signRotation(mine.device, others.started, mine.next.identityKey)
    const before = await databaseContents(service)
    const { deviceId } = mine.device
    expectRefusal(await completeRotation(service, deviceId, others.started.challengeId, body), 404, 'not_found')
    expectRefusal(await completeRotation(service, deviceId, deviceId, body), 404, 'not_found')
    expectRefusal(await completeRotation(service, deviceId, 'nonsense', body), 404, 'not_found')
    expectRefusal(await completeRotation(service, mine.started.challengeId, deviceId, body), 404, 'not_found')
    expect(await databaseContents(service)).toEqual(before)
  })
})
