import { describe, expect, test } from 'vitest'
import type { ExpectedEvidence, TrustAnchor } from '../../protocol/attestation/evidence-format.ts'
import { androidKey } from '../../protocol/attestation/formats/android-key.ts'
import { parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import { parsePem } from '../../protocol/attestation/x509/pem.ts'
import { androidEvidence, enrollingAndroid } from '../support/android-key/evidence.ts'
import { fixtures, readFixture, readPemFixture } from '../support/fixtures.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })

const chainOf = (name: string) => readPemFixture(`public/android/${name}.pem`, 'CERTIFICATE')
const readJson = (name: string) => JSON.parse(readFixture(`public/android/${name}.json`).toString('utf8'))

/** Google's, as it publishes them. */
function googleRoots(): TrustAnchor[] {
  return (readJson('roots') as string[])
    .flatMap((pem) => parsePem(pem, 'CERTIFICATE'))
    .map((der) => ({ lookupId: parseCertificate(der).subjectId, kind: 'root', der }))
}

function expectedOf(challenge: string, now: number): ExpectedEvidence {
  return { ...enrollingAndroid, binding: Buffer.from(challenge, 'base64'), now }
}

/** What was captured, when, and what there is to find in it. */
const captures = [
  ['akita-sdk34-TEE_EC_NONE', Date.UTC(2024, 8, 27)],
  ['caiman-sdk36-TEE_EC_RKP', Date.UTC(2025, 8, 27)],
  ['tegu-sdk36-SB_EC_2026_ROOT', Date.UTC(2026, 1, 25)],
  ['tokay-sdk37-TEE_MLDSA_FACTORY', Date.UTC(2026, 3, 28)],
] as const

describe.skipIf(fixtures === undefined)('attestations of QFLARE_FIXTURES; unset, none is read', () => {
  test.each(captures)('lead to a root of Google and say what their description has: %s', (name, now) => {
    const wanted = readJson(name)
    const parsed = androidKey.parse(androidEvidence(chainOf(name)))
    const { claims } = parsed.verify(googleRoots(), expectedOf(wanted.attestationChallenge, now))
    const { hardwareEnforced: hardware, softwareEnforced: software } = wanted
    const hex = (text: string) => Buffer.from(text, 'base64').toString('hex')
    const level = wanted.attestationSecurityLevel === 'STRONG_BOX' ? 'strongbox' : 'trusted-environment'
    expect(claims).toEqual({
      attestationVersion: Number(wanted.attestationVersion),
      keyMintVersion: Number(wanted.keyMintVersion),
      attestationSecurityLevel: level,
      keyMintSecurityLevel: level,
      certifiedStrongBox: level === 'strongbox',
      keys: [
        {
          algorithm: hardware.algorithms === '4' ? 'ml-dsa-65' : 'ec',
          purposes: hardware.purposes.map(Number),
          origin: 0,
        },
      ],
      attestedKey: 'other',
      rootOfTrust: {
        verifiedBootKey: hex(hardware.rootOfTrust.verifiedBootKey),
        deviceLocked: hardware.rootOfTrust.deviceLocked,
        verifiedBootState: hardware.rootOfTrust.verifiedBootState.toLowerCase(),
      },
      osVersion: Number(hardware.osVersion),
      osPatchLevel: Number(hardware.osPatchLevel),
      vendorPatchLevel: Number(hardware.vendorPatchLevel),
      bootPatchLevel: Number(hardware.bootPatchLevel),
      application: {
        packages: software.attestationApplicationId.packages.map((one: { name: string; version: string }) => ({
          name: one.name,
          version: Number(one.version),
        })),
        signers: software.attestationApplicationId.signatures.map(hex),
      },
      moduleHash: software.moduleHash === undefined ? null : hex(software.moduleHash),
      statusList: { listAgeMs: null, revoked: [] },
    })
    expect(() => parsed.verify(googleRoots(), { ...enrollingAndroid, now })).toThrow(refused('android-key.challenge'))
    expect(() => parsed.verify(googleRoots(), expectedOf(wanted.attestationChallenge, Date.UTC(2050, 0, 1)))).toThrow(
      refused('android-key.path.validity'),
    )
  })

  test.each([
    ['akita-sdk34-TEE_EC_NONE', 'unlocked', [97, 2, 33, 96, 96, 2, 2, 96]],
    ['caiman-sdk36-TEE_EC_RKP', 'locked', [97, 2, 33, 3, 2, 2, 2, 96]],
    ['tokay-sdk37-TEE_MLDSA_FACTORY', 'of development', [97, 2, 33, 96, 96, 2, 2, 96]],
  ] as const)('have the verdict of their device: %s, which is %s', (name, _, found) => {
    const now = captures.find(([capture]) => capture === name)?.[1] ?? 0
    const parsed = androidKey.parse(androidEvidence(chainOf(name)))
    const verified = parsed.verify(googleRoots(), expectedOf(readJson(name).attestationChallenge, now))
    expect(verified.appraise({ key: 'identity' }, []).map(({ value }) => value)).toEqual(found)
  })

  test('lead nowhere when their root is not among those of Google', () => {
    const now = Date.UTC(2019, 9, 29)
    const parsed = androidKey.parse(androidEvidence(chainOf('marlin-sdk29-TEE_EC_NONE')))
    const { attestationChallenge } = readJson('marlin-sdk29-TEE_EC_NONE')
    expect(() => parsed.verify(googleRoots(), expectedOf(attestationChallenge, now))).toThrow(
      refused('android-key.path.anchor'),
    )
    const der = chainOf('marlin-sdk29-TEE_EC_NONE').at(-1) as Buffer
    const own: TrustAnchor = { lookupId: parseCertificate(der).subjectId, kind: 'root', der }
    const { claims } = parsed.verify([own], expectedOf(attestationChallenge, now))
    expect(claims).toMatchObject({ attestationVersion: 2, attestationSecurityLevel: 'software', rootOfTrust: null })
  })

  test.each(['malformed_rot_device_locked', 'tags_not_in_ascending_order'])('are malformed: %s', (name) => {
    expect(() => androidKey.parse(androidEvidence(chainOf(name)))).toThrow(malformed)
  })
})
