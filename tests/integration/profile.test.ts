import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { fromBase64url } from '../../protocol/encoding.ts'
import { verifyJws } from '../../protocol/jws.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import { verifyPinnedTrustBundle } from '../../protocol/trust.ts'
import {
  call,
  createToken,
  fetchCertificates,
  makeIdentity,
  refusal,
  signCompletion,
  startEnrollment,
} from '../support/api.ts'
import {
  expectRefusedOperation,
  makeBackupFolder,
  makeTestFolder,
  operate,
  operateJson,
  query,
  stop,
} from '../support/operations.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { enrollClient, spawnService } from '../support/service-process.ts'

const stranger = fileURLToPath(new URL('../interop/independent-client.js', import.meta.url))

// The last ones start processes, each of which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 180_000 })

async function begin(service: TestService) {
  const token = await createToken(service)
  return { ...token, started: await startEnrollment(service, token.credential) }
}

/** The algorithms of the first trust bundle, by what the keys are for. */
async function algorithmsOf(service: TestService) {
  const { started, pin } = await begin(service)
  const { keys } = verifyPinnedTrustBundle(crypto, started.trust, pin)
  expect(new Set(keys.map(({ kid }) => kid)).size).toBe(keys.length)
  return keys.map(({ use, alg }) => `${use} ${alg}`).sort()
}

test('a service of the default profile signs with ML-DSA-44, once for each use', async () => {
  const service = await startTestService()
  try {
    expect(await algorithmsOf(service)).toEqual(
      ['attestation ML-DSA-44', 'audit ML-DSA-44', 'bucket ML-DSA-44', 'root ML-DSA-44'].sort(),
    )
  } finally {
    await service.close()
  }
})

describe('a service of profile cnsa-2.0', () => {
  let service: TestService
  beforeAll(async () => {
    service = await startTestService({ profile: 'cnsa-2.0', isRealTime: true })
  })
  afterAll(() => service?.close())

  const enrolAs = async (alg?: SignatureAlgorithm) => {
    const { token } = await createToken(service)
    return enrollDevice({ url: service.url, token, name: 'edge', store: createMemoryStore(), ...(alg && { alg }) })
  }

  test('signs with ML-DSA-87, but for the line of its log that is ML-DSA-44 everywhere', async () => {
    expect(await algorithmsOf(service)).toEqual([
      'attestation ML-DSA-87',
      'audit ML-DSA-44',
      'audit ML-DSA-87',
      'bucket ML-DSA-87',
      'root ML-DSA-87',
    ])
    for (const { signature } of await fetchCertificates(service)) expect(signature).toHaveLength(4627)
  })

  test('serves a device of default settings, which takes ML-DSA-87 and has the service’s key', async () => {
    const device = await enrolAs()
    expect((await device.status()).identityKey.alg).toBe('ML-DSA-87')
    await device.exchange()
    const { key, sessionId, epoch } = await device.key('encryption')
    expect(Buffer.from(key).equals(await service.deriveKey({ sessionId, epoch, purpose: 'encryption' }))).toBe(true)
  })

  test('serves a stranger’s client', async () => {
    const { token } = await createToken(service)
    const env = { PATH: process.env.PATH, QFLARE_ENROLLMENT_TOKEN: token }
    const args = [stranger, service.url, 'ML-DSA-87']
    const { stdout } = await promisify(execFile)(process.execPath, args, { env })
    const { checks } = JSON.parse(stdout) as { checks: string[] }
    expect(checks).toContain('the EAR verifies against the JWKS')
  })

  test('signs attestation results with ML-DSA-87, under the one key of its JWKS', async () => {
    const { started } = await begin(service)
    const body = signCompletion(started, makeIdentity('ML-DSA-87').identityKey)
    const enrolled = await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
    const { keys } = (await call(service, 'GET', '/.well-known/jwks.json')).body
    expect(keys).toMatchObject([{ kty: 'AKP', alg: 'ML-DSA-87' }])
    const key = crypto.importVerificationKey('ML-DSA-87', fromBase64url(keys[0].pub))
    expect(verifyJws(crypto, enrolled.body.attestation.ear, key)).toMatchObject({ sub: enrolled.body.spiffeId })
  })

  test.each(['ML-DSA-44', 'ML-DSA-65'] as const)('refuses a device of %s, whose token stays good', async (alg) => {
    const { started, credential } = await begin(service)
    expect(started.policy.identityAlgorithms).toEqual(['ML-DSA-87'])
    const complete = (enrollmentId: string, body: unknown) =>
      call(service, 'POST', `/v1/enrollments/${enrollmentId}/complete`, { body })
    const answer = await complete(started.enrollmentId, signCompletion(started, makeIdentity(alg).identityKey))
    expect(refusal(answer)).toEqual({ status: 400, code: 'key_invalid' })
    expect(answer.body).toMatchObject({ field: 'identityKey.alg', detail: expect.stringContaining('ML-DSA-87') })
    const again = await startEnrollment(service, credential)
    const good = signCompletion(again, makeIdentity('ML-DSA-87').identityKey)
    expect((await complete(again.enrollmentId, good)).status).toBe(201)
  })

  test('is not given a key of another algorithm by a device that insists on it', async () => {
    await expect(enrolAs('ML-DSA-44')).rejects.toMatchObject({ code: 'policy_refused' })
  })

  test('has one active key for each use and algorithm', async () => {
    const copy = `insert into signing_key (kid, key_use, alg, public_key, sealed_seed, status, not_before, not_after, published_at, activated_at)
      select 'x', key_use, alg, public_key, sealed_seed, status, not_before, not_after, published_at, activated_at from signing_key
       where key_use = 'audit' and alg = $1`
    for (const alg of ['ML-DSA-44', 'ML-DSA-87']) {
      await expect(service.database.sql.query(copy, [alg])).rejects.toThrow(/signing_key_active/)
    }
  })
})

test('a service keeps the profile that it was begun with: start, doctor and restore say which', async () => {
  const cnsa = { QFLARE_PROFILE: 'cnsa-2.0' }
  const folder = await makeTestFolder()
  const first = spawnService(folder, cnsa)
  const url = await first.ready()
  expect((await (await enrollClient(url, folder)).exchange()).session).toBeDefined()
  const backup = join(await makeBackupFolder(), 'b')
  await operateJson(folder, ['backup', '--with-root-key', '--out', backup], cnsa)
  await stop(first)

  const wrong = spawnService(folder)
  expect(await wrong.ended()).toBe(1)
  expect(wrong.output.stderr).toMatch(/QFLARE_PROFILE: is default, but this service was begun as cnsa-2\.0/)
  expect(wrong.output.stderr).toMatch(/Set QFLARE_PROFILE=cnsa-2\.0/)
  expect(wrong.output.stderr, 'no stack for a person to read').not.toMatch(/\n\s+at /)
  const restore = ['restore', '--from', backup]
  await expectRefusedOperation(await makeTestFolder(), restore, 'profile_wrong', /Set QFLARE_PROFILE=cnsa-2\.0/)

  const right = spawnService(folder, cnsa)
  await right.ready()
  const doctor = (env?: Record<string, string>) => operate(folder, ['doctor', '--json'], env)
  expect((await doctor(cnsa)).stdout).toMatch(/the keys are those of the profile cnsa-2\.0/)
  const mistaken = await doctor()
  expect(mistaken).toMatchObject({ exitCode: 1 })
  expect(mistaken.stdout).toMatch(/QFLARE_PROFILE is default, but .* are those of cnsa-2\.0/)
  await query(
    folder,
    `update signing_key set status = 'RETIRED', sealed_seed = null, retired_at = now()
    where key_use = 'audit' and alg = 'ML-DSA-87'`,
  )
  await stop(right)
  const without = spawnService(folder, cnsa)
  expect(await without.ended(), 'it does not sign its log with less than its profile says').toBe(1)
  expect(without.output.stderr).toMatch(/no active signing key of ML-DSA-87 for audit/)
})
