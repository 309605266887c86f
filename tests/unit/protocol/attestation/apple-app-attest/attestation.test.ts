import { describe, expect, test } from 'vitest'
import {
  APP_ATTEST_NOW,
  APP_ID,
  type AttestationChanges,
  appAttestAuthority,
  appAttestKey,
  appAttestRoot,
  attestationEvidence,
  attestedData,
  coseKey,
  enrollingAppAttest,
  keyIdOf,
  makeAttestation,
  nonceExtension,
  nonceOf,
  otherAppAttestRoot,
  pointOf,
  systemExtensions,
  verifyAppAttest,
} from '../../../../support/apple-app-attest/evidence.ts'
import type { CborValue } from '../../../../support/cbor.ts'
import { derTime } from '../../../../support/der.ts'
import { testExtensions } from '../../../../support/x509.ts'
import { signings, spkiOf, testKeyPair } from '../../../../support/x509-signing.ts'

const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })
const verify = (changes: AttestationChanges = {}, ...more: [typeof enrollingAppAttest?, (typeof appAttestRoot)[]?]) =>
  verifyAppAttest(attestationEvidence(makeAttestation(changes)), ...more)
const { basicConstraints, keyUsage } = testExtensions
const other = testKeyPair('P-256', 'another secure enclave')
const appIdHash = attestedData().subarray(0, 32).toString('hex')

describe('an attestation', () => {
  test('is read, verified, and says which key of which app it is', () => {
    const { attester, claims } = verify({ data: { extensions: systemExtensions() } })
    const keyId = keyIdOf(appAttestKey()).toString('hex')
    expect(claims).toEqual({
      kind: 'attestation',
      keyId,
      appIdHash,
      environment: 'production',
      counter: 0,
      attestationAgeMs: 0,
      launchCategory: 4,
      bundleVersion: '7.1',
    })
    expect(attester).toEqual({
      id: `apple-app-attest:${keyId}`,
      state: {
        key: spkiOf(appAttestKey()).toString('hex'),
        keyId,
        appIdHash,
        environment: 'production',
        counter: 0,
        attestedAt: APP_ATTEST_NOW,
        anchors: [{ lookupId: appAttestRoot.lookupId, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
      },
    })
  })

  test('may be of the development environment, and of a system that says nothing of the app', () => {
    const { claims } = verify({ data: { aaguid: Buffer.from('appattestdevelop') } })
    expect(claims).toMatchObject({ environment: 'development', launchCategory: null, bundleVersion: null })
  })

  test('counts an intermediate that the organization trusts among what it depends on', () => {
    const changeStatement = (members: Map<string, CborValue>) => {
      const [leaf] = members.get('x5c') as [CborValue]
      // Another certificate, for there have to be two: the root that the organization does not ask for.
      return new Map(members).set('x5c', [leaf, appAttestRoot.der])
    }
    const { attester } = verify({ changeStatement }, enrollingAppAttest, [appAttestAuthority, appAttestRoot])
    expect(attester?.state).toMatchObject({
      anchors: [{ lookupId: appAttestAuthority.lookupId }, { lookupId: appAttestRoot.lookupId }],
    })
  })

  test('is verified in the days for which Apple made its certificate, and at no other time', () => {
    const at = (now: number) => () => verify({}, { ...enrollingAppAttest, now })
    expect(at(APP_ATTEST_NOW + 2 * 86_400_000)).not.toThrow()
    expect(at(APP_ATTEST_NOW + 2 * 86_400_000 + 1000)).toThrow(refused('apple-app-attest.path.validity'))
    expect(at(APP_ATTEST_NOW - 2 * 86_400_000)).toThrow(refused('apple-app-attest.path.validity'))
  })

  const nonce = nonceExtension(nonceOf(attestedData()))
  test.each<[string, string, AttestationChanges]>([
    ['anchor', 'another issuer', { leaf: { issuer: 'Another CA' } }],
    ['signature', 'a leaf that another key signed', { leaf: { signingKey: testKeyPair('P-384', 'other').privateKey } }],
    [
      'leaf',
      'a leaf that is an authority',
      { leaf: { extensions: [basicConstraints(true), keyUsage('digitalSignature'), nonce] } },
    ],
    [
      'key_usage',
      'a leaf for another use',
      { leaf: { extensions: [basicConstraints(false), keyUsage('keyAgreement'), nonce] } },
    ],
    [
      'authority',
      'an intermediate that is no authority',
      { intermediate: { extensions: [basicConstraints(false), keyUsage('keyCertSign')] } },
    ],
    ['validity', 'an intermediate that has expired', { intermediate: { notAfter: derTime(APP_ATTEST_NOW - 1000) } }],
    ['signature_algorithm', 'SHA-1', { leaf: { signing: signings['ECDSA with SHA-1'] } }],
  ])('is refused with apple-app-attest.path.%s for %s', (check, _, changes) => {
    const extensions = [basicConstraints(false), keyUsage('digitalSignature'), nonce]
    const leaf = { extensions, ...changes.leaf }
    expect(() => verify({ ...changes, leaf })).toThrow(refused(`apple-app-attest.path.${check}`))
  })

  test('leads to no root that the organization does not trust, whatever root it brings along', () => {
    const changeStatement = (members: Map<string, CborValue>) =>
      new Map(members).set('x5c', [...(members.get('x5c') as CborValue[]), appAttestRoot.der])
    expect(() => verify({ changeStatement }, enrollingAppAttest, [])).toThrow(refused('apple-app-attest.path.anchor'))
    const impostor = otherAppAttestRoot({ spki: spkiOf(testKeyPair('P-384', 'impostor')) })
    expect(() => verify({}, enrollingAppAttest, [impostor])).toThrow(refused('apple-app-attest.path.signature'))
    const key = { ...appAttestRoot, kind: 'key' as const }
    expect(() => verify({}, enrollingAppAttest, [key])).toThrow(refused('apple-app-attest.path.anchor'))
  })

  test.each<[string, string, AttestationChanges]>([
    ['key', 'a key on P-384', { key: testKeyPair('P-384', 'enclave') }],
    ['key', 'a key of RSA', { key: testKeyPair('RSA-2048', 'enclave') }],
    ['extension', 'no nonce in the certificate', { nonce: null }],
    ['nonce', 'another challenge', { binding: Buffer.alloc(32) }],
    [
      'nonce',
      'other authenticator data',
      { nonce: nonceExtension(nonceOf(attestedData({ appId: 'ABCDE12345.org.other' }))) },
    ],
    ['key_id', 'the id of another key', { data: { credentialId: keyIdOf(other) } }],
    [
      'key_id',
      'the key and the id of another key',
      { data: { credentialId: keyIdOf(other), credentialKey: coseKey(pointOf(other)) } },
    ],
    ['credential_key', 'another key', { data: { credentialKey: coseKey(pointOf(other)) } }],
    ['credential_key', 'a key that is no COSE_Key', { data: { credentialKey: Buffer.alloc(77) } }],
    ['counter', 'a key that has signed', { data: { counter: 1 } }],
    ['environment', 'an AAGUID of nobody', { data: { aaguid: Buffer.alloc(16) } }],
    ['environment', 'an AAGUID in capitals', { data: { aaguid: Buffer.from('APPATTESTDEVELOP') } }],
    [
      'environment',
      'the AAGUID of production with another end',
      { data: { aaguid: Buffer.from('appattest\0\0\0\0\0\0\u0001') } },
    ],
  ])('is refused with apple-app-attest.%s for %s', (check, _, changes) => {
    expect(() => verify(changes)).toThrow(refused(`apple-app-attest.${check}`))
  })

  test('is refused at another binding than the one that it was made for', () => {
    const binding = Buffer.alloc(32, 0x11)
    expect(verify({ binding }, { ...enrollingAppAttest, binding }).claims).toMatchObject({ counter: 0 })
    expect(() =>
      verify({ binding: Buffer.concat([binding, Buffer.of(0)]) }, { ...enrollingAppAttest, binding }),
    ).toThrow(refused('apple-app-attest.nonce'))
  })

  test('says the hash of whatever app it is of: the policy knows which may be', () => {
    expect(verify({ data: { appId: `${APP_ID}.other` } }).claims).not.toMatchObject({ appIdHash })
  })
})
