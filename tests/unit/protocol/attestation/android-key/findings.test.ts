import { describe, expect, test } from 'vitest'
import type { Collateral } from '../../../../../protocol/attestation/evidence-format.ts'
import { androidKey } from '../../../../../protocol/attestation/formats/android-key.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import {
  ANDROID_NOW,
  androidApp,
  androidEvidence,
  androidRoot,
  androidStatusList,
  enrollingAndroid,
  makeChain,
} from '../../../../support/android-key/evidence.ts'
import {
  androidBootKey,
  androidModules,
  androidPackage,
  androidSigner,
  type DescriptionChanges,
  rootOfTrust,
} from '../../../../support/android-key/key-description.ts'
import { derBoolean } from '../../../../support/der.ts'

interface Given {
  rules?: Json
  references?: Json[]
  collateral?: Collateral[]
}

describe('each line says what was found, against what was wanted:', () => {
  const detailOf = (
    check: string,
    description: DescriptionChanges = {},
    { rules = {}, references = [androidApp], collateral = [androidStatusList()] }: Given = {},
  ) => {
    const verified = androidKey
      .parse(androidEvidence(makeChain({ description })))
      .verify([androidRoot()], enrollingAndroid, collateral)
    return verified.appraise(rules, references).find((one) => one.check === `android-key.${check}`)?.detail
  }
  const key = androidBootKey.toString('hex')
  const signer = androidSigner.toString('hex')
  const none = { hardware: { 1: undefined, 702: undefined, 704: undefined } }

  test.each<[string, string, DescriptionChanges?, Given?]>([
    ['key', 'Another key than the identity key is attested.'],
    [
      'key',
      'Another key than the identity key is attested, which the policy does not take.',
      {},
      { rules: { key: 'identity' } },
    ],
    ['verified_boot', `What was booted is verified by key ${key}.`],
    ['verified_boot', 'What was booted is unknown by key unknown.', none],
    [
      'verified_boot',
      `What was booted is verified by key ${key}, which the policy lists.`,
      {},
      { rules: { verifiedBootKeys: [key] } },
    ],
    [
      'verified_boot',
      `What was booted is verified by key ${key}, which the policy does not list.`,
      {},
      { rules: { verifiedBootKeys: [] } },
    ],
    ['device_locked', 'The boot loader is locked.'],
    [
      'device_locked',
      'The boot loader is unlocked.',
      { hardware: { 704: rootOfTrust({ locked: derBoolean(false) }) } },
    ],
    ['device_locked', 'The boot loader is in an unknown state.', none],
    ['purpose', 'The purposes of the attested keys are 2; allowed: 2 (sign) and 3 (verify).'],
    ['purpose', 'The purposes of the attested keys are unknown; allowed: 2 (sign) and 3 (verify).', none],
    ['origin', 'The origins of the attested keys are 0; allowed: 0 (generated).'],
    ['origin', 'The origins of the attested keys are unknown; allowed: 0 (generated).', none],
    ['version_minimum', 'The version of Android is 160000; at least: 1.', {}, { rules: { minimumOsVersion: 1 } }],
    [
      'version_minimum',
      'The version of Android is unknown; at least: 1.',
      { hardware: { 705: undefined } },
      { rules: { minimumOsVersion: 1 } },
    ],
    [
      'modules',
      `The modules of the system have the hash ${androidModules.toString('hex')}, which the policy does not list.`,
      {},
      { rules: { moduleHashes: [] } },
    ],
    [
      'modules',
      'The modules of the system have the hash unknown, which the policy does not list.',
      { software: { 724: undefined } },
      { rules: { moduleHashes: [] } },
    ],
    ['app', `${androidPackage} 7, signed by ${signer}, is in the reference values.`],
    ['app', `${androidPackage} 7, signed by ${signer}, is not in the reference values.`, {}, { references: [] }],
    ['app', 'An unknown app, signed by nobody, is not in the reference values.', { software: { 709: undefined } }],
    [
      'revocation',
      'The certificate 1234 is REVOKED (without a reason).',
      {},
      { collateral: [androidStatusList({ 1234: { status: 'REVOKED' } })] },
    ],
    ['revocation', 'There is no status list.', {}, { collateral: [] }],
    [
      'revocation',
      'The status list was fetched 49 hours ago; at most: 48.',
      {},
      { collateral: [androidStatusList({}, { fetchedAt: ANDROID_NOW - 49.5 * 3_600_000 })] },
    ],
    [
      'security_level',
      'The key is held by: trusted-environment, attested by: trusted-environment; at least: trusted-environment.',
    ],
    [
      'security_level',
      'The key is held by: strongbox, attested by: strongbox, with certificates for no StrongBox; at least: trusted-environment.',
      { keyMintLevel: 2, attestationLevel: 2 },
    ],
  ])('%s: %s', (check, detail, description, given) => {
    expect(detailOf(check, description, given)).toBe(detail)
  })
})
