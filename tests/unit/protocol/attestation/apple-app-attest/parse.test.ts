import { describe, expect, test } from 'vitest'
import { appleAppAttest } from '../../../../../protocol/attestation/formats/apple-app-attest.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import {
  APP_ID,
  type AttestationChanges,
  assertionEvidence,
  attestationEvidence,
  attestedData,
  type DataChanges,
  makeAssertion,
  makeAttestation,
  NONCE_EXTENSION,
  nonceOf,
  systemExtensions,
  verifyAppAttest,
} from '../../../../support/apple-app-attest/evidence.ts'
import { type CborValue, cbor, cborHead, RawCbor } from '../../../../support/cbor.ts'
import { der, derOctets, derSequence } from '../../../../support/der.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const parse = (evidence: Record<string, Json>) => appleAppAttest.parse(evidence)
const attested = (changes: AttestationChanges) => parse(attestationEvidence(makeAttestation(changes)))
const asserted = (change: (members: Map<string, CborValue>) => CborValue) =>
  parse(assertionEvidence(makeAssertion({ change })))
const signed = (data: DataChanges) => parse(assertionEvidence(makeAssertion({ data })))

/** The same map with these members in place of those of before; undefined leaves one out. */
const withMembers = (changes: Record<string, CborValue | undefined>) => (members: Map<string, CborValue>) => {
  const changed = new Map<string, CborValue>(members)
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) changed.delete(name)
    else changed.set(name, value)
  }
  return changed
}

describe('evidence', () => {
  test.each<[string, Record<string, Json>]>([
    ['neither an attestation nor an assertion', { format: 'apple-app-attest' }],
    ['both', { ...attestationEvidence(), ...assertionEvidence() }],
    ['another member', { ...attestationEvidence(), keyId: 'AAAA' }],
    ['another format', { ...assertionEvidence(), format: 'psa' }],
    ['an attestation that is no base64url', { format: 'apple-app-attest', attestation: 'a+b' }],
    ['nothing as its attestation', attestationEvidence(Buffer.alloc(0))],
    ['nothing as its assertion', assertionEvidence(Buffer.alloc(0))],
    [
      'more than 16 KiB',
      attestationEvidence(makeAttestation({ changeStatement: withMembers({ receipt: Buffer.alloc(16_384) }) })),
    ],
    ['an assertion of more than 2 KiB', assertionEvidence(Buffer.alloc(2049))],
  ])('with %s is malformed', (_, evidence) => {
    expect(() => parse(evidence)).toThrow(malformed)
  })
})

describe('an attestation', () => {
  test('names the issuers of its certificates as trust anchors', () => {
    expect(parse(attestationEvidence()).trustAnchorIds).toHaveLength(2)
  })

  test.each<[string, AttestationChanges]>([
    ['of another format of WebAuthn', { change: withMembers({ fmt: 'apple' }) }],
    ['without its format', { change: withMembers({ fmt: undefined }) }],
    ['with one more member', { change: withMembers({ ver: '2.0' }) }],
    ['whose key is of another type', { change: (members) => new Map<CborValue, CborValue>([...members, [1, 2]]) }],
    [
      'whose key is a list of the text that it should be',
      { change: ([format, ...others]) => new Map<CborValue, CborValue>([[['fmt'], format?.[1] ?? ''], ...others]) },
    ],
    ['that is a list', { change: (members) => [...members.values()] }],
    ['without authenticator data', { change: withMembers({ authData: undefined }) }],
    ['whose authenticator data are text', { change: withMembers({ authData: 'text' }) }],
    ['whose statement is a list', { changeStatement: (members) => [...members.values()] }],
    ['with one more member in its statement', { changeStatement: withMembers({ alg: -7 }) }],
    ['without a receipt', { changeStatement: withMembers({ receipt: undefined }) }],
    ['whose receipt is text', { changeStatement: withMembers({ receipt: 'text' }) }],
    ['without certificates', { changeStatement: withMembers({ x5c: undefined }) }],
    ['with no certificate', { changeStatement: withMembers({ x5c: [] }) }],
    ['with a certificate that is none', { changeStatement: withMembers({ x5c: [Buffer.of(1), Buffer.of(2)] }) }],
    ['with a certificate that is text', { changeStatement: withMembers({ x5c: ['leaf', 'ca'] }) }],
    [
      'with the leaf alone',
      { changeStatement: (members) => withMembers({ x5c: (members.get('x5c') as CborValue[]).slice(0, 1) })(members) },
    ],
    [
      'with five certificates',
      {
        changeStatement: (members) => {
          const [leaf, ca] = members.get('x5c') as [CborValue, CborValue]
          return withMembers({ x5c: [leaf, ca, ca, ca, ca] })(members)
        },
      },
    ],
  ])('%s is malformed', (_, changes) => {
    expect(() => attested(changes)).toThrow(malformed)
  })

  test('with bytes behind it is malformed', () => {
    expect(() => parse(attestationEvidence(Buffer.concat([makeAttestation(), Buffer.of(0)])))).toThrow(malformed)
  })

  test('may have four certificates', () => {
    const changeStatement = (members: Map<string, CborValue>) => {
      const [leaf, ca] = members.get('x5c') as [CborValue, CborValue]
      return withMembers({ x5c: [leaf, ca, ca, ca] })(members)
    }
    expect(verifyAppAttest(attestationEvidence(makeAttestation({ changeStatement }))).claims).toMatchObject({
      counter: 0,
    })
  })

  test.each<[string, DataChanges]>([
    ['end within the key', { credentialKey: Buffer.alloc(76) }],
    ['have a shorter id of the credential', { credentialIdLength: 31 }],
    ['have a longer id of the credential', { credentialIdLength: 33 }],
    ['have an id of the credential that is 256 bytes longer', { credentialIdLength: 288 }],
    ['are longer than 1024 bytes', { extensions: cbor(new Map([['padding', Buffer.alloc(1024)]])) }],
  ])('whose authenticator data %s is malformed', (_, data) => {
    expect(() => attested({ data })).toThrow(malformed)
  })

  test.each<[string, Uint8Array]>([
    ['is no sequence', derOctets(nonceOf(attestedData()))],
    ['has no tag', derSequence(derOctets(nonceOf(attestedData())))],
    ['has another tag', derSequence(der(0xa2, derOctets(nonceOf(attestedData()))))],
    [
      'has two nonces',
      derSequence(der(0xa1, derOctets(nonceOf(attestedData()))), der(0xa1, derOctets(Buffer.alloc(32)))),
    ],
    ['has two nonces in one tag', derSequence(der(0xa1, derOctets(Buffer.alloc(32)), derOctets(Buffer.alloc(32))))],
    ['is of 31 bytes', derSequence(der(0xa1, derOctets(Buffer.alloc(31))))],
    ['is of 33 bytes', derSequence(der(0xa1, derOctets(Buffer.alloc(33))))],
    ['is of another type', derSequence(der(0xa1, der(0x0c, Buffer.alloc(32))))],
  ])('whose nonce in the certificate %s is malformed', (_, value) => {
    expect(() => attested({ nonce: { id: NONCE_EXTENSION, value } })).toThrow(malformed)
  })
})

describe('an assertion', () => {
  test('names no trust anchors', () => {
    expect(parse(assertionEvidence()).trustAnchorIds).toEqual([])
  })

  test.each<[string, (members: Map<string, CborValue>) => CborValue]>([
    ['with one more member', withMembers({ keyId: Buffer.alloc(32) })],
    ['without a signature', withMembers({ signature: undefined })],
    ['with an empty signature', withMembers({ signature: Buffer.alloc(0) })],
    ['with a signature that is longer than any', withMembers({ signature: Buffer.alloc(73) })],
    ['without authenticator data', withMembers({ authenticatorData: undefined })],
    ['whose authenticator data are shorter than 37 bytes', withMembers({ authenticatorData: Buffer.alloc(36) })],
    ['whose authenticator data are longer than 1024 bytes', withMembers({ authenticatorData: Buffer.alloc(1025) })],
    ['that is a list', (members) => [...members.values()]],
  ])('%s is malformed', (_, change) => {
    expect(() => asserted(change)).toThrow(malformed)
  })

  test('with a length that is longer than it has to be is malformed', () => {
    const change = (members: Map<string, CborValue>) => {
      const data = members.get('authenticatorData') as Uint8Array
      return withMembers({ authenticatorData: new RawCbor(Buffer.concat([cborHead(2, 37, 2), data])) })(members)
    }
    expect(() => asserted(change)).toThrow(malformed)
  })
})

describe('what the system says of the app', () => {
  test.each<[string, NonNullable<DataChanges['extensions']>]>([
    ['a list', cbor(['app'])],
    ['no CBOR', Buffer.of(0xff)],
    ['followed by another value', Buffer.concat([cbor(systemExtensions()), Buffer.of(0)])],
    ['under a key that is no text', new Map([[1, 2]])],
    ['a category in three bytes', new Map([['apple_validation_category_01', Buffer.alloc(3)]])],
    ['a category in five bytes', new Map([['apple_validation_category_01', Buffer.alloc(5)]])],
    ['a category that is a number', new Map([['apple_validation_category_01', 4]])],
    ['a version that is bytes', new Map([['apple_bundle_version_01', Buffer.from('7')]])],
    ['a version of more than 64 characters', new Map([['apple_bundle_version_01', '1'.repeat(65)]])],
    ['a version with a control character', new Map([['apple_bundle_version_01', '7\n']])],
    ['a version that is no UTF-8', new Map([['apple_bundle_version_01', new RawCbor('61ff')]])],
  ])('is malformed: %s', (_, extensions) => {
    expect(() => signed({ extensions })).toThrow(malformed)
    expect(() => attested({ data: { extensions } })).toThrow(malformed)
  })

  test('may have more than is known, and is read whatever the flags are', () => {
    const extensions = new Map<CborValue, CborValue>([
      ...systemExtensions(2, '7'),
      ['apple_code_hash_01', Buffer.alloc(32)],
    ])
    for (const flags of [0x00, 0x40, 0xc0]) {
      const evidence = attestationEvidence(makeAttestation({ data: { extensions, flags } }))
      expect(verifyAppAttest(evidence).claims).toMatchObject({ launchCategory: 2, bundleVersion: '7' })
    }
  })

  test('has its category in little-endian order', () => {
    const extensions = new Map([['apple_validation_category_01', Buffer.of(1, 2, 0, 0)]])
    const evidence = attestationEvidence(makeAttestation({ data: { extensions, appId: APP_ID } }))
    expect(verifyAppAttest(evidence).claims).toMatchObject({ launchCategory: 513, bundleVersion: null })
  })
})
