import { describe, expect, test } from 'vitest'
import type { ExpectedEvidence, TrustAnchor } from '../../../../../protocol/attestation/evidence-format.ts'
import { androidKey } from '../../../../../protocol/attestation/formats/android-key.ts'
import {
  ANDROID_NOW,
  androidEvidence,
  androidLeafKey,
  androidRoot,
  attestationExtension,
  type ChainChanges,
  enrollingAndroid,
  knownAndroid,
  makeChain,
  makeIdentity,
} from '../../../../support/android-key/evidence.ts'
import {
  androidBootKey,
  androidModules,
  androidPackage,
  androidSigner,
  applicationId,
  type DescriptionChanges,
  rootOfTrust,
} from '../../../../support/android-key/key-description.ts'
import { derBoolean, derInteger, derTime } from '../../../../support/der.ts'
import { testExtensions } from '../../../../support/x509.ts'
import { signings, spkiOf, testKeyPair } from '../../../../support/x509-signing.ts'

const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })

function verify(
  changes: ChainChanges = {},
  {
    anchors = [androidRoot()],
    expected = enrollingAndroid,
    identityChain,
  }: { anchors?: TrustAnchor[]; expected?: ExpectedEvidence; identityChain?: Buffer[] } = {},
) {
  return androidKey.parse(androidEvidence(makeChain(changes), identityChain)).verify(anchors, expected)
}

const described = (description: DescriptionChanges): ChainChanges => ({ description })
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

  test.each<[string, string, ChainChanges, { expected?: ExpectedEvidence; anchors?: TrustAnchor[] }?]>([
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

describe('an identity key', () => {
  const identity = makeIdentity()
  const expected = { ...enrollingAndroid, identityKey: identity.identityKey }
  const fresh = described({ attestationVersion: 500 })
  const withIdentity = (changes: ChainChanges, more: ChainChanges = fresh) =>
    verify(more, { expected, identityChain: makeIdentity(changes).chain })

  test.each(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const)('of %s may be attested itself', (kind) => {
    const { chain, identityKey } = makeIdentity({}, kind)
    const { claims, attester } = verify(fresh, { expected: { ...expected, identityKey }, identityChain: chain })
    expect(claims).toMatchObject({
      attestedKey: 'identity',
      keys: [{ algorithm: 'ec' }, { algorithm: kind.toLowerCase(), purposes: [2], origin: 0 }],
    })
    expect(attester?.state).toMatchObject({ identityKey: expect.stringMatching(/^[0-9a-f]{64}$/) })
  })

  test('was attested once, and stays so while it is the same', () => {
    const { attester } = verify(fresh, { expected, identityChain: identity.chain })
    const later = knownAndroid(attester, { identityKey: identity.identityKey })
    const again = verify(fresh, { expected: later })
    expect(again.claims).toMatchObject({ attestedKey: 'identity', keys: [{ algorithm: 'ec' }] })
    expect(again.attester).toEqual(attester)
    const rotated = verify(fresh, { expected: knownAndroid(attester, { identityKey: new Uint8Array(1952) }) })
    expect(rotated.claims).toMatchObject({ attestedKey: 'other' })
    expect(rotated.attester?.state).toMatchObject({ identityKey: null })
  })

  test('that was made before an update is attested by a device that has it', () => {
    const older = { 705: derInteger(150_000), 706: derInteger(202_501), 718: undefined, 719: undefined }
    expect(withIdentity({ description: { hardware: older } }).claims).toMatchObject({ attestedKey: 'identity' })
  })

  const authority = [testExtensions.basicConstraints(true), testExtensions.keyUsage('keyCertSign')]
  const expired = { notAfter: derTime(ANDROID_NOW - 1000) }
  const otherApp = applicationId([['org.example.other', 7]])
  const otherSigner = applicationId(undefined, [Buffer.alloc(32, 1)])
  test.each<[string, string, ChainChanges]>([
    ['android-key.identity_path.validity', 'with a batch key that has expired', { batch: expired }],
    ['android-key.identity_extension', 'without the extension', { extension: null }],
    [
      'android-key.identity_attested_issuer',
      'when its issuer is an attested key',
      { batch: { extensions: [...authority, attestationExtension()] } },
    ],
    ['android-key.identity_version', 'of an unknown version', described({ attestationVersion: 600 })],
    ['android-key.identity_algorithm', 'said to be another', described({ hardware: { 2: derInteger(3) } })],
    ['android-key.identity_device', 'of another app', described({ software: { 709: otherApp } })],
    ['android-key.identity_device', 'of another signer', described({ software: { 709: otherSigner } })],
    ['android-key.identity_device', 'in another element', described({ keyMintLevel: 2 })],
    ['android-key.identity_device', 'attested by another element', described({ attestationLevel: 2 })],
    [
      'android-key.identity_device',
      'of a device with another boot key',
      described({ hardware: { 704: rootOfTrust({ key: Buffer.alloc(32) }) } }),
    ],
    [
      'android-key.identity_device',
      'of a device that is unlocked',
      described({ hardware: { 704: rootOfTrust({ locked: derBoolean(false) }) } }),
    ],
    ['android-key.identity_device', 'of a device without a root of trust', described({ hardware: { 704: undefined } })],
  ])('%s: is refused %s', (check, _, changes) => {
    expect(() => withIdentity(changes)).toThrow(refused(check))
  })

  test('android-key.identity_key: is refused when it is another one, or none of ML-DSA', () => {
    const other = {
      ...expected,
      identityKey: Uint8Array.from(identity.identityKey, (byte, at) => (at === 9 ? byte ^ 1 : byte)),
    }
    expect(() => verify(fresh, { expected: other, identityChain: identity.chain })).toThrow(
      refused('android-key.identity_key'),
    )
    const raw = spkiOf(androidLeafKey()).subarray(-65)
    expect(() => verify(fresh, { expected: { ...expected, identityKey: raw }, identityChain: makeChain() })).toThrow(
      refused('android-key.identity_key'),
    )
  })
})

describe('a later attestation', () => {
  const { attester } = verify()
  const later = (hardware: DescriptionChanges['hardware'] = {}, more: DescriptionChanges = {}) =>
    verify(
      { leafKey: testKeyPair('P-256', 'later'), description: { ...more, hardware } },
      { expected: knownAndroid(attester) },
    )

  test('is of a fresh key, and of the attester that enrolled', () => {
    expect(later().attester).toEqual(attester)
  })

  test('may be of a device that was updated, which is what counts from then on', () => {
    const updated = later({ 705: derInteger(170_000), 706: derInteger(202_611), 719: derInteger(20_261_101) })
    expect(updated.attester?.state).toMatchObject({
      osVersion: 170_000,
      osPatchLevel: 202_611,
      bootPatchLevel: 20_261_101,
    })
    expect(() => verify({}, { expected: knownAndroid(updated.attester) })).toThrow(refused('android-key.known_version'))
  })

  test('may say more than the one of before', () => {
    const silent = verify(described({ hardware: { 705: undefined, 706: undefined, 718: undefined, 719: undefined } }))
    expect(verify({}, { expected: knownAndroid(silent.attester) }).attester?.state).toEqual(attester?.state)
  })

  test('may name packages and signers in another order', () => {
    const names: [string, number][] = [
      ['org.example.a', 1],
      ['org.example.b', 1],
    ]
    const signers = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
    const first = verify(described({ software: { 709: applicationId(names, signers) } }))
    const turned = applicationId(names.toReversed(), signers.toReversed())
    const expected = knownAndroid(first.attester)
    expect(verify(described({ software: { 709: turned } }), { expected }).attester?.id).toBe(first.attester?.id)
  })

  const software = (packages?: [string, number][], signers?: Buffer[]) => ({
    software: { 709: applicationId(packages, signers) },
  })
  test.each<[string, string, DescriptionChanges['hardware'], DescriptionChanges?]>([
    ['android-key.known_app', 'another package', {}, software([['org.example.other', 7]])],
    [
      'android-key.known_app',
      'one more package',
      {},
      software([
        [androidPackage, 7],
        ['org.example.other', 7],
      ]),
    ],
    ['android-key.known_app', 'another signer', {}, software(undefined, [Buffer.alloc(32, 1)])],
    ['android-key.known_app', 'one more signer', {}, software(undefined, [androidSigner, Buffer.alloc(32, 1)])],
    ['android-key.known_app', 'no app', {}, { software: { 709: undefined } }],
    ['android-key.known_boot_key', 'another boot key', { 704: rootOfTrust({ key: Buffer.alloc(32) }) }],
    ['android-key.known_boot_key', 'no boot key', { 704: undefined }],
    ['android-key.known_level', 'a key in another element', {}, { keyMintLevel: 2 }],
    ['android-key.known_level', 'another element that attests', {}, { attestationLevel: 0 }],
    ['android-key.known_version', 'an older Android', { 705: derInteger(150_000) }],
    ['android-key.known_version', 'no version of Android', { 705: undefined }],
    ['android-key.known_version', 'an older patch level', { 706: derInteger(202_609) }],
    ['android-key.known_version', 'an older vendor image', { 718: derInteger(20_261_004) }],
    ['android-key.known_version', 'a vendor image without its day', { 718: derInteger(202_610) }],
    ['android-key.known_version', 'an older boot image', { 719: derInteger(20_260_930) }],
  ])('%s: is refused with %s', (check, _, hardware, more) => {
    expect(() => later(hardware, more)).toThrow(refused(check))
  })
})
