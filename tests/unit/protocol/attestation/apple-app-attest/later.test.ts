import { describe, expect, test } from 'vitest'
import type { Attester, TrustAnchor } from '../../../../../protocol/attestation/evidence-format.ts'
import { appleAppAttest } from '../../../../../protocol/attestation/formats/apple-app-attest.ts'
import {
  APP_ATTEST_NOW,
  type AssertionChanges,
  type AttestationChanges,
  appAttestAuthority,
  appAttestBinding,
  appAttestKey,
  appAttestRoot,
  assertionEvidence,
  attestationEvidence,
  enrollingAppAttest,
  keyIdOf,
  knownAppAttest,
  makeAssertion,
  makeAttestation,
  otherAppAttestRoot,
  systemExtensions,
  verifyAppAttest,
} from '../../../../support/apple-app-attest/evidence.ts'
import type { CborValue } from '../../../../support/cbor.ts'
import { testKeyPair } from '../../../../support/x509-signing.ts'

const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })
const { attester: enrolled } = verifyAppAttest(attestationEvidence())
const newKey = testKeyPair('P-256', 'a new key')

interface Later {
  of?: Attester | undefined
  now?: number
  anchors?: readonly TrustAnchor[]
}
function asserted(changes: AssertionChanges = {}, { of = enrolled, now = APP_ATTEST_NOW, anchors }: Later = {}) {
  return verifyAppAttest(assertionEvidence(makeAssertion(changes)), knownAppAttest(of, { now }), anchors)
}
const attested = (changes: AttestationChanges, of = enrolled) =>
  verifyAppAttest(attestationEvidence(makeAttestation(changes)), knownAppAttest(of))

describe('an assertion', () => {
  test('is of the device that enrolled, counts on, and says how long ago its key was attested', () => {
    // The certificate of the key has expired long since.
    const now = APP_ATTEST_NOW + 100 * 86_400_000
    const { attester, claims } = asserted({ data: { counter: 7, extensions: systemExtensions(2, '8') } }, { now })
    expect(claims).toMatchObject({
      kind: 'assertion',
      keyId: keyIdOf(appAttestKey()).toString('hex'),
      environment: 'production',
      counter: 7,
      attestationAgeMs: 100 * 86_400_000,
      launchCategory: 2,
      bundleVersion: '8',
    })
    expect(attester).toEqual({ id: enrolled?.id, state: { ...(enrolled?.state as object), counter: 7 } })
  })

  test('cannot enrol', () => {
    expect(() => verifyAppAttest(assertionEvidence(), enrollingAppAttest)).toThrow(
      refused('apple-app-attest.attestation'),
    )
  })

  test('is not taken twice, and none that was signed before it', () => {
    const { attester } = asserted({ data: { counter: 7 } })
    expect(asserted({ data: { counter: 8 } }, { of: attester }).claims).toMatchObject({ counter: 8 })
    for (const counter of [7, 6, 0]) {
      expect(() => asserted({ data: { counter } }, { of: attester })).toThrow(
        refused('apple-app-attest.assertion_counter'),
      )
    }
    expect(() => asserted({ data: { counter: 0 } })).toThrow(refused('apple-app-attest.assertion_counter'))
  })

  test.each<[string, string, AssertionChanges]>([
    ['signature', 'another challenge', { binding: Buffer.alloc(32) }],
    ['signature', 'another key', { key: newKey }],
    ['signature', 'no signature', { signature: Buffer.of(0x30, 0) }],
    ['signature', 'a signature that is no DER', { signature: Buffer.alloc(72, 1) }],
    ['known_app', 'another app', { data: { appId: 'ABCDE12345.org.other' } }],
  ])('is refused with apple-app-attest.%s for %s', (check, _, changes) => {
    expect(() => asserted(changes)).toThrow(refused(`apple-app-attest.${check}`))
  })

  test('is refused when what it signed was changed', () => {
    const bytes = makeAssertion({ data: { counter: 1 } })
    bytes[bytes.length - 1] = 2
    expect(() => verifyAppAttest(assertionEvidence(bytes), knownAppAttest(enrolled))).toThrow(
      refused('apple-app-attest.signature'),
    )
  })

  test('holds as long as the root is trusted by which its key is known', () => {
    expect(appleAppAttest.anchorIdsOf(enrolled?.state ?? null)).toEqual([appAttestRoot.lookupId])
    for (const anchors of [[], [otherAppAttestRoot()], [{ ...appAttestRoot, lookupId: 'subject:other' }]]) {
      expect(() => asserted({}, { anchors })).toThrow(refused('apple-app-attest.path.anchor'))
    }
    expect(asserted({}, { anchors: [otherAppAttestRoot(), appAttestRoot] }).claims).toMatchObject({ counter: 1 })
  })

  test('holds no longer when one of several is not trusted any more', () => {
    const changeStatement = (members: Map<string, CborValue>) => {
      const [leaf] = members.get('x5c') as [CborValue]
      return new Map(members).set('x5c', [leaf, appAttestRoot.der])
    }
    const anchors = [appAttestAuthority, appAttestRoot]
    const evidence = attestationEvidence(makeAttestation({ changeStatement }))
    const { attester } = verifyAppAttest(evidence, enrollingAppAttest, anchors)
    expect(asserted({}, { of: attester, anchors }).claims).toMatchObject({ counter: 1 })
    for (const one of anchors) {
      expect(() => asserted({}, { of: attester, anchors: [one] })).toThrow(refused('apple-app-attest.path.anchor'))
    }
  })

  test('is bound to its session by what it signs: the digest of data and binding, hashed once more', () => {
    const evidence = assertionEvidence(makeAssertion({ binding: appAttestBinding }))
    const binding = Buffer.concat([appAttestBinding.subarray(0, 31), Buffer.of(0)])
    expect(() => verifyAppAttest(evidence, knownAppAttest(enrolled, { binding }))).toThrow(
      refused('apple-app-attest.signature'),
    )
  })
})

describe('a later attestation', () => {
  test('is of a new key, which takes the place of the one before', () => {
    const counted = asserted({ data: { counter: 7 } }).attester
    const { attester } = attested({ key: newKey }, counted)
    expect(attester).toMatchObject({
      id: enrolled?.id,
      state: { keyId: keyIdOf(newKey).toString('hex'), counter: 0 },
    })
    expect(asserted({ key: newKey, data: { counter: 1 } }, { of: attester }).claims).toMatchObject({ counter: 1 })
    expect(() => asserted({ data: { counter: 8 } }, { of: attester })).toThrow(refused('apple-app-attest.signature'))
  })

  test('of the same key does not take its counter back', () => {
    const { attester } = attested({}, asserted({ data: { counter: 7 } }).attester)
    expect(attester?.state).toMatchObject({ counter: 7 })
    expect(() => asserted({ data: { counter: 7 } }, { of: attester })).toThrow(
      refused('apple-app-attest.assertion_counter'),
    )
  })

  test.each<[string, string, AttestationChanges]>([
    ['known_app', 'another app', { data: { appId: 'ABCDE12345.org.other' } }],
    ['known_environment', 'the development environment', { data: { aaguid: Buffer.from('appattestdevelop') } }],
  ])('is refused with apple-app-attest.%s for %s', (check, _, changes) => {
    expect(() => attested({ key: newKey, ...changes })).toThrow(refused(`apple-app-attest.${check}`))
  })

  test('of a device of the development environment may not be of production', () => {
    const development = verifyAppAttest(
      attestationEvidence(makeAttestation({ data: { aaguid: Buffer.from('appattestdevelop') } })),
    ).attester
    expect(() => attested({ key: newKey }, development)).toThrow(refused('apple-app-attest.known_environment'))
  })
})
