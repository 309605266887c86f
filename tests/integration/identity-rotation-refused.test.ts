import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  call,
  enrollTestDevice,
  establish,
  initiate,
  makeIdentity,
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

describe('a completion that the old key did not sign as it should', () => {
  const wishes: Record<string, (made: Awaited<ReturnType<typeof begin>>) => Parameters<typeof signRotation>[3]> = {
    'by the new key alone': ({ next }) => ({ oldSigner: next.identityKey }),
    'with the two signatures swapped': ({ device, next }) => ({
      oldSigner: next.identityKey,
      newSigner: device.identityKey,
    }),
    'by a stranger': () => ({ oldSigner: makeIdentity().identityKey }),
    'for another device': ({ started }) => ({ deviceId: started.challengeId }),
    'for another old key': ({ next }) => ({ oldKid: kidOf(next.identityKey) }),
    'under the context of an exchange': () => ({ context: 'QFLARE-v1 exchange' }),
    'under the context of an enrolment': () => ({ context: 'QFLARE-v1 enroll' }),
    'under no context': () => ({ context: '' }),
  }
  test.each(Object.entries(wishes))('%s: changes nothing, and tells of it once', async (_what, wish) => {
    const made = await begin()
    const { device, started, next, complete } = made
    const wrong = signRotation(device, started, next.identityKey, wish(made))
    expectRefusal(await complete(wrong), 401, 'rotation_refused')
    const before = await databaseContents(service)
    expectRefusal(await complete(wrong), 401, 'rotation_refused')
    expect(await databaseContents(service)).toEqual(before)
    expect(await eventsOf(device.deviceId)).toMatchObject({ 'device.rotation_mismatched': 1 })
    expect((await complete(signRotation(device, started, next.identityKey))).status).toBe(200)
  })

  test('but over another challenge or another key: the same', async () => {
    const { device, started, next, complete } = await begin()
    const other = { challenge: crypto.randomBytes(32) }
    expectRefusal(await complete(signRotation(device, other, next.identityKey)), 401, 'rotation_refused')
    const body = signRotation(device, started, next.identityKey)
    const { identityKey } = signRotation(device, started, makeIdentity().identityKey)
    expectRefusal(await complete({ ...body, identityKey }), 401, 'rotation_refused')
    expect((await complete(body)).status).toBe(200)
  })

  test('because the stored key is not what was enrolled: refused, however good its signature', async () => {
    const { device, started, next, complete } = await begin()
    const thief = makeIdentity()
    await service.database.sql.query('update identity_key set public_key = $2 where principal_id = $1', [
      device.deviceId,
      thief.identityKey.publicKey,
    ])
    const body = signRotation(device, started, next.identityKey, { oldSigner: thief.identityKey })
    expectRefusal(await complete(body), 401, 'rotation_refused')
  })
})

describe('a completion that the old key signed and that is refused', () => {
  /** Refused once for its reason, then for good: the challenge is spent. */
  async function expectSpent(
    made: Awaited<ReturnType<typeof begin>>,
    body: unknown,
    expected: [number, Parameters<typeof expectRefusal>[2], string?],
  ) {
    const { device, started, next, complete } = made
    const keys = await keysOf(device.deviceId)
    expectRefusal(await complete(body), ...expected)
    expectRefusal(await complete(body), 409, 'challenge_expired')
    expectRefusal(await complete(signRotation(device, started, next.identityKey)), 409, 'challenge_expired')
    expect(await keysOf(device.deviceId)).toEqual(keys)
    const events = await eventsOf(device.deviceId)
    expect(events['device.rotation_refused']).toBe(1)
    expect(events['device.identity_rotated']).toBeUndefined()
  }

  test('by the old key alone: nobody proved to have the new one', async () => {
    const made = await begin()
    const { device, started, next } = made
    const body = signRotation(device, started, next.identityKey, { newSigner: device.identityKey })
    await expectSpent(made, body, [401, 'rotation_refused'])
  })

  test('for a key that is enrolled already: its own, or another device’s', async () => {
    const own = await begin()
    const ownKey = signRotation(own.device, own.started, own.device.identityKey)
    await expectSpent(own, ownKey, [400, 'key_invalid', 'identityKey'])
    const made = await begin()
    const theirs = signRotation(made.device, made.started, own.device.identityKey)
    await expectSpent(made, theirs, [400, 'key_invalid', 'identityKey'])
  })

  test('for a key under which anybody can sign: its t1 is all zero', async () => {
    const made = await begin()
    const { device, started, next } = made
    const publicKey = new Uint8Array(1312).fill(7, 0, 32)
    const weak = { alg: 'ML-DSA-44', publicKey, sign: next.identityKey.sign } as typeof next.identityKey
    await expectSpent(made, signRotation(device, started, weak), [400, 'key_invalid', 'identityKey.publicKey'])
  })

  test('with evidence that the policy does not take', async () => {
    const made = await begin()
    const { device, started, next } = made
    const body = signRotation(device, started, next.identityKey, { evidence: [{ format: 'tpm2' }] })
    await expectSpent(made, body, [400, 'malformed', 'evidence'])
  })

  test.each(['SUSPENDED', 'QUARANTINED', 'PENDING'])('because the device is %s meanwhile', async (status) => {
    const made = await begin()
    const { device, started, next } = made
    await service.database.sql.query(
      `update principal set status = $2, active_session_id = null, pending_session_ids = '{}' where id = $1`,
      [device.deviceId, status],
    )
    await expectSpent(made, signRotation(device, started, next.identityKey), [401, 'rotation_refused'])
  })
})

test('a device that is suspended or revoked begins no rotation, and one that was revoked meanwhile completes none', async () => {
  const act = (action: string, id: string) =>
    call(service, 'POST', `/v1/devices/${id}/${action}`, { token: service.adminToken, body: {} })
  for (const action of ['suspend', 'revoke']) {
    const { device, session, started, next, complete } = await begin()
    await act(action, device.deviceId)
    const path = `/v1/devices/${device.deviceId}/rotate-identity`
    expectRefusal(await call(service, 'POST', path, { token: session.accessToken, body: {} }), 401, 'unauthenticated')
    expectRefusal(await complete(signRotation(device, started, next.identityKey)), 401, 'rotation_refused')
    expect((await keysOf(device.deviceId)).map(({ status }) => status)).not.toContain('REPLACED')
  }
})

test('a revocation and a rotation at once: the device is revoked, with every key that it has', async () => {
  for (let round = 0; round < 4; round++) {
    const { device, started, next, complete } = await begin()
    const path = `/v1/devices/${device.deviceId}/revoke`
    const [revoked, rotated] = await Promise.all([
      call(service, 'POST', path, { token: service.adminToken, body: {} }),
      complete(signRotation(device, started, next.identityKey)),
    ])
    expect(revoked.status).toBe(200)
    expect([200, 401]).toContain(rotated.status)
    expect((await keysOf(device.deviceId)).map(({ status }) => status)).not.toContain('ACTIVE')
    for (const key of [device, { deviceId: device.deviceId, ...next }]) {
      expect(await exchange(key)).toEqual({ status: 401, code: 'exchange_refused' })
    }
  }
})

test('a key of an algorithm that the profile does not take is refused', async () => {
  const strict = await startTestService({ profile: 'cnsa-2.0' })
  try {
    const device = await enrollTestDevice(strict, { alg: 'ML-DSA-87' })
    const started = await startRotation(strict, device)
    expect(started.policy).toEqual({ evidence: ['none'], identityAlgorithms: ['ML-DSA-87'] })
    const body = signRotation(device, started, makeIdentity('ML-DSA-65').identityKey)
    const answer = await completeRotation(strict, device.deviceId, started.challengeId, body)
    expectRefusal(answer, 400, 'key_invalid', 'identityKey.alg')
    await establish(strict, await rotate(strict, device))
  } finally {
    await strict.close()
  }
})
