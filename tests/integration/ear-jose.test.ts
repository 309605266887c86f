import { createLocalJWKSet, createRemoteJWKSet, decodeProtectedHeader, errors, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EAR_LIFETIME_SECONDS } from '../../protocol/attestation/ear.ts'
import { call, createToken, makeIdentity, signCompletion, startEnrollment } from '../support/api.ts'
import { createPolicy } from '../support/policies.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** An attestation result is for third parties: who has a library for JWTs and the published keys needs nothing of ours. */

const profiles = [
  ['default', 'ML-DSA-44'],
  ['cnsa-2.0', 'ML-DSA-87'],
] as const

describe.each(profiles)('an attestation result of the profile %s, by jose alone', (profile, alg) => {
  let service: TestService
  let device: ReturnType<typeof makeIdentity>
  let enrolled: { spiffeId: string; attestation: { ear: string; policyId: string } }
  beforeAll(async () => {
    service = await startTestService({ profile })
    device = makeIdentity('ML-DSA-87')
    const { id } = await createPolicy(service, 'edge')
    const { credential } = await createToken(service, { policyId: id })
    const started = await startEnrollment(service, credential)
    const body = signCompletion(started, device.identityKey)
    enrolled = (await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })).body
  })
  afterAll(() => service.close())

  const keys = () => createRemoteJWKSet(new URL('/.well-known/jwks.json', service.url))
  const at = (later = 0) => ({ currentDate: new Date(service.time.now + later), typ: 'JWT', algorithms: [alg] })

  test('verifies with the keys of /.well-known/jwks.json, and has the claims of draft-ietf-rats-ear-04', async () => {
    const { ear } = enrolled.attestation
    const { payload, protectedHeader } = await jwtVerify(ear, keys(), at())
    expect(protectedHeader).toEqual({ alg, kid: decodeProtectedHeader(ear).kid, typ: 'JWT' })
    const iat = Math.floor(service.time.now / 1000)
    expect(payload).toEqual({
      eat_profile: 'tag:ietf.org,2026:rats/ear#04',
      iat,
      exp: iat + EAR_LIFETIME_SECONDS,
      sub: enrolled.spiffeId,
      cnf: { jwk: expect.objectContaining({ kty: 'AKP', alg: 'ML-DSA-87' }) },
      ear_verifier_id: { developer: expect.any(String), build: expect.any(String) },
      ear_status: 'none',
      submods: { none: { ear_status: 'none', ear_appraisal_policy_ids: ['edge@1'] } },
    })
    expect((payload['cnf'] as { jwk: { pub: string } }).jwk.pub).toBe(
      Buffer.from(device.identityKey.publicKey).toString('base64url'),
    )
  })

  test('is over when its ten minutes are', async () => {
    const { ear } = enrolled.attestation
    await expect(jwtVerify(ear, keys(), at((EAR_LIFETIME_SECONDS - 1) * 1000))).resolves.toBeDefined()
    await expect(jwtVerify(ear, keys(), at(EAR_LIFETIME_SECONDS * 1000))).rejects.toThrow(errors.JWTExpired)
  })

  test('does not verify with other claims, without its signature, or under the keys of another service', async () => {
    const [header, payload, signature] = enrolled.attestation.ear.split('.') as [string, string, string]
    const better = JSON.parse(Buffer.from(payload, 'base64url').toString())
    better.ear_status = 'affirming'
    const changed = Buffer.from(JSON.stringify(better)).toString('base64url')
    await expect(jwtVerify(`${header}.${changed}.${signature}`, keys(), at())).rejects.toThrow(
      errors.JWSSignatureVerificationFailed,
    )
    const unsigned = Buffer.from('{"alg":"none"}').toString('base64url')
    await expect(jwtVerify(`${unsigned}.${payload}.`, keys(), at())).rejects.toThrow(errors.JOSEError)
    const { body } = await call(service, 'GET', '/.well-known/jwks.json')
    const pub = Buffer.from(makeIdentity(alg).identityKey.publicKey).toString('base64url')
    const others = body.keys.map((key: object) => ({ ...key, pub }))
    await expect(jwtVerify(enrolled.attestation.ear, createLocalJWKSet({ keys: others }), at())).rejects.toThrow(
      errors.JWSSignatureVerificationFailed,
    )
  })
})
