import { describe, expect, test } from 'vitest'
import type { TrustAnchor } from '../../../../../protocol/attestation/evidence-format.ts'
import { androidKey } from '../../../../../protocol/attestation/formats/android-key.ts'
import {
  ANDROID_NOW,
  androidEvidence,
  androidRoot,
  attestationExtension,
  type ChainChanges,
  enrollingAndroid,
  makeChain,
} from '../../../../support/android-key/evidence.ts'
import {
  androidBootKey,
  androidModules,
  androidPackage,
  androidSigner,
  applicationId,
  rootOfTrust,
} from '../../../../support/android-key/key-description.ts'
import { type ChainOptions, described, verifyChain as verify } from '../../../../support/android-key/verify-chain.ts'
import { derInteger, derTime } from '../../../../support/der.ts'
import { testExtensions } from '../../../../support/x509.ts'
import { signings, spkiOf, testKeyPair } from '../../../../support/x509-signing.ts'

const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })

const app = { packages: [{ name: androidPackage, version: 7 }], signers: [androidSigner.toString('hex')] }

describe('an attestation', () => {
  test('is read, verified, and says what the phone is, but not which one', () => {
    const parsed = androidKey.parse(androidEvidence())
    expect(parsed.trustAnchorIds).toContain(androidRoot().lookupId)
    expect(parsed.collateralIds).toEqual(['android-status-list:google'])
    const { attester, claims } = parsed.verify([androidRoot()], enrollingAndroid)
    expect(claims).toEqual({
      attestationVersion: 400,
      keyMintVersion: 400,
      attestationSecurityLevel: 'trusted-environment',
      keyMintSecurityLevel: 'trusted-environment',
      certifiedStrongBox: false,
      keys: [{ algorithm: 'ec', purposes: [2], origin: 0 }],
      attestedKey: 'other',
      rootOfTrust: {
        verifiedBootKey: androidBootKey.toString('hex'),
        deviceLocked: true,
        verifiedBootState: 'verified',
      },
      osVersion: 160_000,
      osPatchLevel: 202_610,
      vendorPatchLevel: 20_261_005,
      bootPatchLevel: 20_261_001,
      application: app,
      moduleHash: androidModules.toString('hex'),
      statusList: { listAgeMs: null, revoked: [] },
    })
    expect(attester).toEqual({
      id: expect.stringMatching(/^android-key:[0-9a-f]{64}$/),
      state: {
        packages: [androidPackage],
        signers: app.signers,
        verifiedBootKey: androidBootKey.toString('hex'),
        attestationSecurityLevel: 'trusted-environment',
        keyMintSecurityLevel: 'trusted-environment',
        osVersion: 160_000,
        osPatchLevel: 202_610,
        vendorPatchLevel: 20_261_005,
        bootPatchLevel: 20_261_001,
        identityKey: null,
      },
    })
  })

  test.each([1, 2, 3, 4, 100, 200, 300, 400, 500])('of version %i is taken', (attestationVersion) => {
    expect(verify(described({ attestationVersion })).claims).toMatchObject({ attestationVersion })
  })

  test('needs no root in its chain, and gains nothing by one of its own', () => {
    const chain = makeChain()
    const without = androidKey.parse(androidEvidence(chain.slice(0, -1)))
    expect(without.verify([androidRoot()], enrollingAndroid).claims).toMatchObject({ osVersion: 160_000 })
    expect(() => androidKey.parse(androidEvidence(chain)).verify([], enrollingAndroid)).toThrow(
      refused('android-key.path.anchor'),
    )
  })

  test('may lack an intermediate that the organization has', () => {
    const [leaf, batch, intermediate] = makeChain() as [Buffer, Buffer, Buffer]
    const anchor: TrustAnchor = { lookupId: 'subject:x', kind: 'intermediate', der: intermediate }
    const parsed = androidKey.parse(androidEvidence([leaf, batch]))
    expect(parsed.verify([anchor, androidRoot()], enrollingAndroid).claims).toMatchObject({ osVersion: 160_000 })
  })

  test.each([
    ['RSA-2048', 1, 'rsa'],
    ['P-384', 3, 'ec'],
    ['ML-DSA-44', 4, 'ml-dsa-44'],
    ['ML-DSA-65', 4, 'ml-dsa-65'],
    ['ML-DSA-87', 4, 'ml-dsa-87'],
  ] as const)('may be of a key of %s', (kind, number, algorithm) => {
    const leafKey = testKeyPair(kind, 'android leaf')
    const { claims } = verify({ leafKey, description: { hardware: { 2: derInteger(number) } } })
    expect(claims).toMatchObject({ keys: [{ algorithm }] })
  })

  test('is verified whenever its leaf says that it is valid: a phone writes that', () => {
    const leaf = { notBefore: derTime(ANDROID_NOW + 60_000), notAfter: derTime(ANDROID_NOW + 120_000) }
    const extensions = [testExtensions.keyUsage('digitalSignature'), attestationExtension()]
    expect(verify({ leaf: { ...leaf, extensions } }).claims).toMatchObject({ osVersion: 160_000 })
  })

  test('says nothing of what the wrong list says', () => {
    const wrong = {
      1: undefined,
      702: undefined,
      704: undefined,
      705: undefined,
      706: undefined,
      718: undefined,
      719: undefined,
    }
    const software = { 702: derInteger(0), 704: rootOfTrust(), 705: derInteger(160_000), 706: derInteger(202_610) }
    const hardware = { ...wrong, 709: applicationId([['org.example.other', 1]]) }
    const { claims } = verify(described({ software: { ...software, 709: undefined, 724: undefined }, hardware }))
    expect(claims).toMatchObject({
      keys: [{ purposes: [], origin: null }],
      rootOfTrust: null,
      osVersion: null,
      osPatchLevel: null,
      vendorPatchLevel: null,
      bootPatchLevel: null,
      application: null,
      moduleHash: null,
    })
  })

  test('of a key that software holds is verified as that', () => {
    const software = { 2: derInteger(3) }
    const { claims } = verify(described({ keyMintLevel: 0, attestationLevel: 0, software, hardware: { 2: undefined } }))
    expect(claims).toMatchObject({ keyMintSecurityLevel: 'software', attestationSecurityLevel: 'software' })
  })
})

describe('an attestation is refused', () => {
  const authority = [testExtensions.basicConstraints(true), testExtensions.keyUsage('keyCertSign')]
  const extensions = [testExtensions.keyUsage('digitalSignature'), attestationExtension()]
  const past = { notAfter: derTime(ANDROID_NOW - 1000) }

  test.each<[string, string, ChainChanges, ChainOptions?]>([
    ['android-key.path.anchor', 'without a root that is known', {}, { anchors: [] }],
    ['android-key.path.anchor', 'with a root that is a key', {}, { anchors: [{ ...androidRoot(), kind: 'key' }] }],
    [
      'android-key.path.signature',
      'with a root of the same name and another key',
      {},
      { anchors: [androidRoot(makeChain({ root: { spki: spkiOf(testKeyPair('P-384', 'other')) } }))] },
    ],
    [
      'android-key.path.signature',
      'with a leaf by another key',
      { leaf: { signingKey: testKeyPair('P-256', 'other').privateKey, extensions } },
    ],
    ['android-key.path.validity', 'with a batch key that has expired', { batch: past }],
    ['android-key.path.validity', 'with an intermediate that has expired', { intermediate: past }],
    [
      'android-key.path.validity',
      'with a root that has expired',
      { root: past },
      { anchors: [androidRoot(makeChain({ root: past }))] },
    ],
    [
      'android-key.path.authority',
      'when an app’s key certified it',
      { batch: { extensions: [authority[1] as never] } },
    ],
    [
      'android-key.path.certificate_signing',
      'when a key that may not certify did',
      { batch: { extensions: [authority[0] as never, testExtensions.keyUsage('digitalSignature')] } },
    ],
    [
      'android-key.path.leaf',
      'when the key may certify others',
      { leaf: { extensions: [...authority, attestationExtension()] } },
    ],
    [
      'android-key.path.key_usage',
      'when the key is not for signatures',
      { leaf: { extensions: [testExtensions.keyUsage('keyAgreement'), attestationExtension()] } },
    ],
    ['android-key.path.key', 'of a key that is weak', { leafKey: testKeyPair('RSA-1024') }],
    ['android-key.path.key', 'of a key of an unknown kind', { leafKey: testKeyPair('Ed25519') }],
    [
      'android-key.path.key',
      'when ML-DSA is in the place of an issuer',
      { batch: { spki: spkiOf(testKeyPair('ML-DSA-44', 'batch')) } },
    ],
    ['android-key.extension', 'without the extension', { extension: null }],
    [
      'android-key.attested_issuer',
      'when its issuer is an attested key',
      { batch: { extensions: [...authority, attestationExtension()] } },
    ],
    [
      'android-key.attested_issuer',
      'when a certificate further up is attested',
      { intermediate: { extensions: [...authority, attestationExtension()] } },
    ],
    ['android-key.version', 'of version 0', described({ attestationVersion: 0 })],
    ['android-key.version', 'of a version that nobody knows', described({ attestationVersion: 600 })],
    ['android-key.algorithm', 'when it says RSA of an EC key', described({ hardware: { 2: derInteger(1) } })],
    ['android-key.algorithm', 'when it says ML-DSA of an EC key', described({ hardware: { 2: derInteger(4) } })],
    ['android-key.algorithm', 'when it says EC of an RSA key', { leafKey: testKeyPair('RSA-2048', 'android leaf') }],
    [
      'android-key.algorithm',
      'when it says EC of an ML-DSA key',
      { leafKey: testKeyPair('ML-DSA-44', 'android leaf') },
    ],
    [
      'android-key.algorithm',
      'when only software says of what algorithm it is',
      described({ hardware: { 2: undefined }, software: { 2: derInteger(3) } }),
    ],
    ['android-key.algorithm', 'when only hardware says it of a key of software', described({ keyMintLevel: 0 })],
    ['android-key.challenge', 'with another challenge', described({ challenge: Buffer.alloc(32, 0xb2) })],
    ['android-key.challenge', 'without a challenge', described({ challenge: Buffer.alloc(0) })],
    ['android-key.challenge', 'with a longer challenge', described({ challenge: Buffer.alloc(33, 0xb1) })],
  ])('%s: %s', (check, _, changes, options) => {
    expect(() => verify(changes, options)).toThrow(refused(check))
  })

  test('android-key.path.signature: when a leaf is signed with ML-DSA', () => {
    const key = testKeyPair('ML-DSA-44', 'batch')
    const leaf = { signing: signings['ECDSA with SHA-256'], extensions }
    expect(() => verify({ batch: { spki: spkiOf(key) }, leaf })).toThrow(refused('android-key.path.key'))
  })
})
