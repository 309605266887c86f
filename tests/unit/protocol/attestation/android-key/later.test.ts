import { describe, expect, test } from 'vitest'
import { knownAndroid } from '../../../../support/android-key/evidence.ts'
import {
  androidPackage,
  androidSigner,
  applicationId,
  type DescriptionChanges,
  rootOfTrust,
} from '../../../../support/android-key/key-description.ts'
import { described, verifyChain as verify } from '../../../../support/android-key/verify-chain.ts'
import { derInteger } from '../../../../support/der.ts'
import { testKeyPair } from '../../../../support/x509-signing.ts'

const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })

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

  test('may name packages and signers in another order, and no other ones', () => {
    const names: [string, number][] = [
      ['org.example.a', 1],
      ['org.example.b', 1],
    ]
    const signers = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
    const first = verify(described({ software: { 709: applicationId(names, signers) } }))
    const other: [string, number][] = [
      ['org.example.a', 1],
      ['org.example.c', 1],
    ]
    const turned = applicationId(names.toReversed(), signers.toReversed())
    const expected = knownAndroid(first.attester)
    expect(verify(described({ software: { 709: turned } }), { expected }).attester?.id).toBe(first.attester?.id)
    expect(() => verify(described({ software: { 709: applicationId(other, signers) } }), { expected })).toThrow(
      refused('android-key.known_app'),
    )
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
