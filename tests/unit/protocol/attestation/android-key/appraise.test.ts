import { describe, expect, test } from 'vitest'
import type { Collateral } from '../../../../../protocol/attestation/evidence-format.ts'
import { androidKey } from '../../../../../protocol/attestation/formats/android-key.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import {
  androidApp,
  androidEvidence,
  androidRoot,
  androidStatusList,
  type ChainChanges,
  enrollingAndroid,
  makeChain,
  makeIdentity,
  strongBoxNames,
} from '../../../../support/android-key/evidence.ts'
import {
  type Authorizations,
  androidBootKey,
  androidModules,
  androidPackage,
  androidSigner,
  applicationId,
  type DescriptionChanges,
  rootOfTrust,
} from '../../../../support/android-key/key-description.ts'
import { derBoolean, derInteger, derSet } from '../../../../support/der.ts'

interface Given {
  names?: ChainChanges['names']
  rules?: Json
  references?: Json[]
  collateral?: Collateral[]
}

/** Of each check its value; of several of one name the worst. */
function valuesOf(description: DescriptionChanges = {}, given: Given = {}): Record<string, number> {
  const { rules = {}, references = [androidApp], collateral = [androidStatusList()], names } = given
  const parsed = androidKey.parse(androidEvidence(makeChain({ description, ...(names && { names }) })))
  const findings = parsed.verify([androidRoot()], enrollingAndroid, collateral).appraise(rules, references)
  expect(findings.every(({ detail }) => detail.endsWith('.'))).toBe(true)
  const values: Record<string, number> = {}
  for (const { check, value } of findings) values[check] = Math.max(value, values[check] ?? 0)
  return values
}

const good = {
  'android-key.key': 2,
  'android-key.security_level': 2,
  'android-key.revocation': 2,
  'android-key.verified_boot': 3,
  'android-key.device_locked': 2,
  'android-key.purpose': 2,
  'android-key.origin': 2,
  'android-key.app': 2,
}

test('a phone as it should be is affirmed in each line', () => {
  expect(valuesOf()).toEqual(good)
})

describe('one thing at a time changes one line:', () => {
  const hardware = (values: Authorizations): DescriptionChanges => ({ hardware: values })
  const trust = (changes: Parameters<typeof rootOfTrust>[0]) => hardware({ 704: rootOfTrust(changes) })
  const app = (...given: Parameters<typeof applicationId>) => ({ software: { 709: applicationId(...given) } })
  const mine = androidBootKey.toString('hex')

  test.each<[string, string, number, DescriptionChanges, Given?]>([
    ['security_level', 'a key of software', 96, { keyMintLevel: 0, software: { 2: derInteger(3) } }],
    ['security_level', 'an attestation of software', 96, { attestationLevel: 0 }],
    ['security_level', 'a TEE where StrongBox is wanted', 96, {}, { rules: { securityLevel: 'strongbox' } }],
    ['security_level', 'only a key in StrongBox', 96, { keyMintLevel: 2 }, { rules: { securityLevel: 'strongbox' } }],
    ['security_level', 'a key that something else attests', 96, { keyMintLevel: 2 }, { names: strongBoxNames }],
    ['security_level', 'an attestation by something else', 96, { attestationLevel: 2 }, { names: strongBoxNames }],
    [
      'security_level',
      'StrongBox',
      2,
      { keyMintLevel: 2, attestationLevel: 2 },
      { names: strongBoxNames, rules: { securityLevel: 'strongbox' } },
    ],
    [
      'security_level',
      'StrongBox that no root vouches for',
      96,
      { keyMintLevel: 2, attestationLevel: 2 },
      { rules: { securityLevel: 'strongbox' } },
    ],
    [
      'security_level',
      'StrongBox that no root vouches for, where a TEE is enough',
      2,
      { keyMintLevel: 2, attestationLevel: 2 },
    ],
    [
      'security_level',
      'a TEE with certificates for StrongBox',
      96,
      {},
      { names: strongBoxNames, rules: { securityLevel: 'strongbox' } },
    ],
    ['key', 'another key than that of the identity', 97, {}, { rules: { key: 'identity' } }],
    ['verified_boot', 'a system of its owner', 96, trust({ state: 1 })],
    ['verified_boot', 'a listed system of its owner', 3, trust({ state: 1 }), { rules: { verifiedBootKeys: [mine] } }],
    ['verified_boot', 'a listed system', 3, {}, { rules: { verifiedBootKeys: ['00'.repeat(32), mine] } }],
    ['verified_boot', 'a system that is not listed', 96, {}, { rules: { verifiedBootKeys: ['00'.repeat(32)] } }],
    [
      'verified_boot',
      'a system that is not verified',
      96,
      trust({ state: 2 }),
      { rules: { verifiedBootKeys: [mine] } },
    ],
    ['verified_boot', 'a system that failed', 96, trust({ state: 3 }), { rules: { verifiedBootKeys: [mine] } }],
    ['verified_boot', 'no word of it', 96, hardware({ 704: undefined })],
    ['device_locked', 'an unlocked boot loader', 96, trust({ locked: derBoolean(false) })],
    ['device_locked', 'no word of it', 96, hardware({ 704: undefined })],
    ['purpose', 'sign and verify', 2, hardware({ 1: derSet(derInteger(2), derInteger(3)) })],
    ['purpose', 'verify alone', 96, hardware({ 1: derSet(derInteger(3)) })],
    ['purpose', 'a purpose more', 96, hardware({ 1: derSet(derInteger(2), derInteger(6)) })],
    ['purpose', 'that of attesting others', 96, hardware({ 1: derSet(derInteger(2), derInteger(7)) })],
    ['purpose', 'none', 96, hardware({ 1: undefined })],
    ['origin', 'an imported key', 96, hardware({ 702: derInteger(2) })],
    ['origin', 'a securely imported key', 96, hardware({ 702: derInteger(4) })],
    ['origin', 'no word of it', 96, hardware({ 702: undefined })],
    ['version_minimum', 'new enough an Android', 2, {}, { rules: { minimumOsVersion: 160_000 } }],
    ['version_minimum', 'an older Android', 96, {}, { rules: { minimumOsVersion: 160_001 } }],
    [
      'version_minimum',
      'an older Android, with a warning',
      33,
      {},
      { rules: { minimumOsVersion: 160_001, outdated: 'warning' } },
    ],
    ['version_minimum', 'no Android', 96, hardware({ 705: undefined }), { rules: { minimumOsVersion: 0 } }],
    ['version_minimum', 'new enough a patch level', 2, {}, { rules: { minimumOsPatchLevel: 202_610 } }],
    ['version_minimum', 'an older patch level', 96, {}, { rules: { minimumOsPatchLevel: 202_611 } }],
    ['version_minimum', 'new enough a vendor image', 2, {}, { rules: { minimumVendorPatchLevel: 20_261_005 } }],
    ['version_minimum', 'an older vendor image', 96, {}, { rules: { minimumVendorPatchLevel: 20_261_006 } }],
    [
      'version_minimum',
      'a vendor image without its day',
      96,
      hardware({ 718: derInteger(202_610) }),
      { rules: { minimumVendorPatchLevel: 20_261_001 } },
    ],
    [
      'version_minimum',
      'a later vendor image without its day',
      2,
      hardware({ 718: derInteger(202_611) }),
      { rules: { minimumVendorPatchLevel: 20_261_005 } },
    ],
    ['version_minimum', 'new enough a boot image', 2, {}, { rules: { minimumBootPatchLevel: 20_261_001 } }],
    ['version_minimum', 'an older boot image', 96, {}, { rules: { minimumBootPatchLevel: 20_261_002 } }],
    ['modules', 'listed modules', 2, {}, { rules: { moduleHashes: [androidModules.toString('hex')] } }],
    ['modules', 'modules that are not listed', 96, {}, { rules: { moduleHashes: ['00'.repeat(32)] } }],
    [
      'modules',
      'no word of them',
      96,
      { software: { 724: undefined } },
      { rules: { moduleHashes: ['00'.repeat(32)] } },
    ],
    ['app', 'no reference value', 96, {}, { references: [] }],
    ['app', 'no reference value, with a warning', 33, {}, { references: [], rules: { unlistedApp: 'warning' } }],
    ['app', 'another package', 96, app([['org.example.other', 7]])],
    [
      'app',
      'a package more',
      96,
      app([
        [androidPackage, 7],
        ['org.example.other', 7],
      ]),
    ],
    ['app', 'another signer', 96, app(undefined, [Buffer.alloc(32)])],
    ['app', 'a signer more', 96, app(undefined, [androidSigner, Buffer.alloc(32)])],
    ['app', 'no signer', 96, app(undefined, [])],
    ['app', 'no app', 96, { software: { 709: undefined } }],
    ['app', 'an older version', 96, {}, { references: [{ ...androidApp, minimumVersion: 8 }] }],
    ['app', 'new enough a version', 2, {}, { references: [{ ...androidApp, minimumVersion: 7 }] }],
    [
      'app',
      'the signer of another app that is listed',
      96,
      app(undefined, [Buffer.alloc(32, 9)]),
      { references: [androidApp, { package: 'org.example.other', signers: ['09'.repeat(32)] }] },
    ],
    [
      'app',
      'two packages that are listed',
      2,
      app(
        [
          [androidPackage, 7],
          ['org.example.other', 7],
        ],
        [androidSigner, Buffer.alloc(32, 9)],
      ),
      { references: [androidApp, { package: 'org.example.other', signers: ['09'.repeat(32)] }] },
    ],
  ])('%s: %s is %i', (check, _, value, description, given) => {
    const changed = valuesOf(description, given)
    const otherLines =
      check === 'verified_boot' || check === 'device_locked' ? ['verified_boot', 'device_locked'] : [check]
    expect(changed[`android-key.${check}`]).toBe(value)
    for (const [line, before] of Object.entries(good)) {
      const isItsOwn = otherLines.some((one) => line === `android-key.${one}`)
      // What software holds, hardware says nothing of.
      if (!isItsOwn && !(description.keyMintLevel === 0)) expect([line, changed[line]]).toEqual([line, before])
    }
  })

  test('key: an identity key that is attested itself is recognized', () => {
    const { chain, identityKey } = makeIdentity()
    const parsed = androidKey.parse(androidEvidence(makeChain({ description: { attestationVersion: 500 } }), chain))
    const verified = parsed.verify([androidRoot()], { ...enrollingAndroid, identityKey })
    expect(verified.appraise({ key: 'identity' }, [])[0]).toMatchObject({ check: 'android-key.key', value: 2 })
  })

  test.each<[string, Authorizations]>([
    ['android-key.purpose', { 1: derSet(derInteger(0)) }],
    ['android-key.origin', { 702: derInteger(2) }],
  ])('%s: of an identity key it is looked at as well', (check, changes) => {
    const { chain, identityKey } = makeIdentity({ description: { hardware: changes } })
    const parsed = androidKey.parse(androidEvidence(makeChain({ description: { attestationVersion: 500 } }), chain))
    const findings = parsed.verify([androidRoot()], { ...enrollingAndroid, identityKey }).appraise({}, [])
    expect(findings.find((one) => one.check === check)?.value).toBe(96)
  })
})
