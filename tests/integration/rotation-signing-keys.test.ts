import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openDevice, type QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { fromBase64url } from '../../protocol/encoding.ts'
import { verifyJws } from '../../protocol/jws.ts'
import { rotateSigningKeys } from '../../workers/jobs/rotate-signing-keys.ts'
import { call, createToken, signCompletion, startEnrollment } from '../support/api.ts'
import {
  countBundles,
  DAY_MS,
  keyEvents,
  MINUTE_MS,
  pass,
  rotate,
  rotationParts,
  sameAge,
  storedKeys,
  times,
} from '../support/rotation.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

/** The whole life of the keys that sign, seen from devices, and what could go wrong with each step. */

async function enrol(service: TestService): Promise<QflareDevice> {
  const store = createMemoryStore()
  const now = () => service.time.now
  const { token } = await createToken(service)
  await enrollDevice({ url: service.url, token, name: 'edge', store, now })
  return openDevice({ store, now })
}

const statusesOf = async (service: TestService, use: string) =>
  (await storedKeys(service, use)).map(({ status }) => status)

describe('a rotation by age', () => {
  let service: TestService
  let device: QflareDevice
  let silent: QflareDevice
  beforeAll(async () => {
    service = await startTestService()
    device = await enrol(service)
    silent = await enrol(service)
  })
  afterAll(() => service.close())

  async function expectEverybodyServed(): Promise<number> {
    const { trust, session } = await device.exchange()
    expect(session).toBeDefined()
    expect(await device.renewToken()).toBeDefined()
    await enrol(service)
    return trust.sequence
  }

  test('does nothing before a key is old', async () => {
    await pass(service, 90 * DAY_MS - 61 * MINUTE_MS)
    expect(await rotate(service)).toEqual([])
    expect(await countBundles(service)).toBe(1)
  })

  test('publishes a successor ahead, which signs nothing yet', async () => {
    await pass(service, MINUTE_MS)
    expect(await rotate(service)).toEqual(['publish'])
    expect(await rotate(service), 'twice').toEqual([])
    expect(await statusesOf(service, 'bucket')).toEqual(['ACTIVE', 'PUBLISHED'])
    expect(await statusesOf(service, 'attestation')).toEqual(['ACTIVE', 'PUBLISHED'])
    expect(await statusesOf(service, 'audit'), 'which lives for a year').toEqual(['ACTIVE'])
    const before = service.serviceKeys.bucketSigner.keyId
    await pass(service, 0)
    expect(service.serviceKeys.bucketSigner.keyId).toBe(before)
    expect(await expectEverybodyServed()).toBe(2)
  })

  test('lets it sign when everybody has had the time to hear of it, and erases the seed of the one before', async () => {
    await pass(service, 59 * MINUTE_MS)
    expect(await rotate(service)).toEqual([])
    await pass(service, MINUTE_MS)
    const last = service.serviceKeys.bucketSigner.keyId
    expect(await rotate(service)).toEqual(['activate'])
    const [old, young] = await storedKeys(service, 'bucket')
    expect(old).toMatchObject({ kid: last, status: 'RETIRED', hasSeed: false })
    expect(young).toMatchObject({ status: 'ACTIVE', hasSeed: true })
    expect(await countBundles(service), 'the keys of the bundle are the same').toBe(2)
    await expectEverybodyServed()
    await pass(service, 10 * MINUTE_MS)
    const { body } = await call(service, 'GET', '/v1/buckets')
    expect(body.certificates.map(({ kid }: { kid: string }) => kid)).toEqual([young?.kid, young?.kid])
    await expectEverybodyServed()
  })

  test('keeps the key of attestation results that are still good in the key set', async () => {
    const { body } = await call(service, 'GET', '/.well-known/jwks.json')
    expect(body.keys.map(({ kid }: { kid: string }) => kid)).toEqual(
      (await storedKeys(service, 'attestation')).map(({ kid }) => kid),
    )
  })

  test('takes the old key out of the bundle when nothing that it signed is used any more', async () => {
    await pass(service, 64 * MINUTE_MS)
    expect(await rotate(service)).toEqual([])
    await pass(service, MINUTE_MS)
    expect(await rotate(service)).toEqual(['withdraw'])
    expect(await expectEverybodyServed()).toBe(3)
    const { body } = await call(service, 'GET', '/v1/trust?after=2')
    const kids = body.items[0].keys.map(({ kid }: { kid: string }) => kid)
    expect(kids).not.toContain((await storedKeys(service, 'bucket'))[0]?.kid)
    expect(kids).toContain((await storedKeys(service, 'bucket'))[1]?.kid)
  })

  test('tells of each step once', async () => {
    const events = await keyEvents(service)
    const steps = ['published', 'activated', 'retired', 'withdrawn']
    expect(events.map(({ type }) => type).sort()).toEqual(
      steps
        .flatMap((step) => [step, step])
        .map((step) => `signing_key.${step}`)
        .sort(),
    )
    const retired = (await storedKeys(service, 'bucket'))[0]?.kid
    expect(events.filter(({ kid }) => kid === retired).map(({ type }) => type)).toEqual([
      'signing_key.retired',
      'signing_key.withdrawn',
    ])
  })

  test('is followed by a device that was offline for months and two rotations, without enrolling again', async () => {
    await pass(service, 90 * DAY_MS)
    for (const minutes of [0, 60, 75]) {
      await pass(service, minutes * MINUTE_MS)
      await rotate(service)
    }
    await pass(service, 10 * MINUTE_MS)
    const { trust, session } = await silent.exchange()
    expect(session).toBeDefined()
    expect(trust.sequence).toBe(await countBundles(service))
  })
})

test('an enrolment that began before a step is completed after the next, under the bundle that it was given', async () => {
  const service = await startTestService()
  onTestFinished(() => service.close())
  await pass(service, 90 * DAY_MS)
  const { credential } = await createToken(service)
  const started = await startEnrollment(service, credential)
  expect(await rotate(service)).toEqual(['publish'])
  const fast = { ...times, overlap: { bucket: MINUTE_MS, attestation: MINUTE_MS, audit: MINUTE_MS } }
  await pass(service, MINUTE_MS)
  expect(await rotate(service, rotationParts(service, { rotation: fast }))).toEqual(['activate'])
  const identity = crypto.importSigningKey('ML-DSA-44', crypto.randomBytes(32))
  const body = signCompletion(started, identity)
  const { status } = await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
  expect(status).toBe(201)
})

describe('a step', () => {
  let service: TestService
  beforeAll(async () => {
    service = await startTestService()
    await pass(service, 90 * DAY_MS)
  })
  afterAll(() => service.close())

  test('that ends before its event is stored did not happen, and happens the next time', async () => {
    const gone = () => {
      throw new Error('the process is gone')
    }
    for (const [step, minutes] of [
      ['publish', 0],
      ['activate', 60],
      ['withdraw', 75],
    ] as const) {
      await pass(service, minutes * MINUTE_MS)
      const before = [await storedKeys(service, 'bucket'), await countBundles(service)]
      await expect(rotate(service, rotationParts(service, { writeEvent: gone }))).rejects.toThrow('the process is gone')
      expect([await storedKeys(service, 'bucket'), await countBundles(service)], step).toEqual(before)
      expect(await rotate(service)).toEqual([step])
    }
  })

  test('of two workers at once happens once', async () => {
    await pass(service, 90 * DAY_MS)
    const bundles = await countBundles(service)
    const parts = [0, 1, 2].map(() => rotationParts(service, { rotation: sameAge }))
    for (const [step, minutes] of [
      ['publish', 0],
      ['activate', 60],
      ['activate', 1440],
    ] as const) {
      await pass(service, minutes * MINUTE_MS)
      const taken = await Promise.all(parts.map((worker) => rotateSigningKeys(worker, service.time.now)))
      expect(
        taken.flat().filter((name) => name === step),
        step,
      ).toHaveLength(1)
    }
    expect((await storedKeys(service, 'audit')).map(({ status }) => status)).toEqual(['RETIRED', 'ACTIVE'])
    expect((await storedKeys(service, 'bucket')).map(({ status }) => status)).toEqual(['RETIRED', 'RETIRED', 'ACTIVE'])
    const { body } = await call(service, 'GET', `/v1/trust?after=0`)
    expect(body.items.map(({ sequence }: { sequence: number }) => sequence)).toEqual(
      Array.from({ length: body.items.length }, (_, i) => i + 1),
    )
    expect(body.items.length).toBeGreaterThan(bundles)
  })

  test('blesses no key that somebody wrote into the database, and none of a bundle that somebody changed', async () => {
    const { sql } = service.database
    await pass(service, 90 * DAY_MS)
    expect(await rotate(service)).toContain('publish')
    await sql.query(`update signing_key set status = 'RETIRED', sealed_seed = null, retired_at = now(), activated_at = now()
      where status = 'PUBLISHED' and key_use = 'bucket'`)
    await sql.query(`insert into signing_key
      select 'rogue', key_use, alg, public_key, sealed_seed, 'PUBLISHED', not_before, not_after, to_timestamp(0), null, null
        from signing_key where key_use = 'bucket' and status = 'ACTIVE'`)
    await pass(service, 60 * MINUTE_MS)
    await rotate(service)
    expect((await storedKeys(service, 'bucket')).find(({ kid }) => kid === 'rogue')?.status).toBe('PUBLISHED')
    const trust = (await call(service, 'GET', '/v1/trust')).body.items.at(-1)
    expect(JSON.stringify(trust)).not.toContain('rogue')

    await sql.query(`delete from signing_key where kid = 'rogue'`)
    const newest = await countBundles(service)
    await sql.query(
      `update trust_bundle set body = jsonb_set(body, '{keys,1,notAfter}', '9000000000000') where sequence = $1`,
      [newest],
    )
    await expect(rotate(service)).rejects.toMatchObject({ code: 'trust_invalid' })
    expect(await countBundles(service)).toBe(newest)
  })
})

test('an attestation result that was signed while keys rotate verifies under the key that it names', async () => {
  const service = await startTestService()
  try {
    await pass(service, 90 * DAY_MS)
    await rotate(service)
    await pass(service, 60 * MINUTE_MS)
    const rotating = rotate(service).then(() => service.serviceKeys.refresh())
    const ears = await Promise.all(
      Array.from({ length: 8 }, async () => {
        await enrol(service)
        const { rows } = await service.database.sql.query('select ear from attestation_result order by id desc limit 1')
        return rows[0].ear as string
      }),
    )
    await rotating
    const { body } = await call(service, 'GET', '/.well-known/jwks.json')
    for (const ear of ears) {
      const { kid } = JSON.parse(Buffer.from(ear.split('.')[0] as string, 'base64url').toString())
      const jwk = body.keys.find((key: { kid: string }) => key.kid === kid)
      const key = crypto.importVerificationKey(jwk.alg, fromBase64url(jwk.pub))
      expect(() => verifyJws(crypto, ear, key)).not.toThrow()
    }
  } finally {
    await service.close()
  }
})
