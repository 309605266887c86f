import { describe, expect, test } from 'vitest'
import {
  ANDROID_NOW,
  androidLeafKey,
  attestationExtension,
  type ChainChanges,
  enrollingAndroid,
  knownAndroid,
  makeChain,
  makeIdentity,
} from '../../../../support/android-key/evidence.ts'
import { applicationId, rootOfTrust } from '../../../../support/android-key/key-description.ts'
import { described, verifyChain as verify } from '../../../../support/android-key/verify-chain.ts'
import { derBoolean, derInteger, derTime } from '../../../../support/der.ts'
import { testExtensions } from '../../../../support/x509.ts'
import { spkiOf } from '../../../../support/x509-signing.ts'

const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })

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
