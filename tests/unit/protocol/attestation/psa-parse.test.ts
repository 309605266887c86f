import { describe, expect, test } from 'vitest'
import { psa } from '../../../../protocol/attestation/formats/psa.ts'
import { type CborValue, cbor, cborHead, RawCbor } from '../../../support/cbor.ts'
import {
  enrollingPsa,
  makeToken,
  psaAnchor,
  psaComponent,
  psaEvidence,
  psaInstanceId,
  psaLookupId,
  psaNonce,
  psaPayload,
  type TokenChanges,
} from '../../../support/psa.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const hex = (text: string) => Buffer.from(text, 'hex')
const bytes = (length: number) => Buffer.alloc(length, 1)
const verify = (changes: TokenChanges) => psa.parse(psaEvidence(makeToken(changes))).verify([psaAnchor()], enrollingPsa)

/** Arrays and maps one after another, of no depth to speak of. */
const manyValues = Array.from({ length: 20 }, (_, index) => [
  [index],
  new Map([
    [1, [2]],
    [3, [4]],
  ]),
])
/** Each in the last value of the one before it. */
const nestedMaps = (depth: number): CborValue =>
  depth === 0
    ? 0
    : new Map([
        [1, 0],
        [2, nestedMaps(depth - 1)],
      ])

describe('a token is read', () => {
  test.each<[string, TokenChanges]>([
    [
      'with what is optional left out',
      { claims: { bootSeed: undefined, certificationReference: undefined, verificationService: undefined } },
    ],
    ['with the shortest boot seed', { claims: { bootSeed: bytes(8) } }],
    [
      'with the boot seed where the drafts had it',
      { claims: { bootSeed: undefined }, moreClaims: [[2397, bytes(32)]] },
    ],
    [
      'with claims that are unknown',
      {
        moreClaims: [
          [1, 'issuer'],
          ['text', [1, new Map([[1, null]])]],
          [-1, 2 ** 40],
        ],
      },
    ],
    ['with the first client of all', { claims: { clientId: -(2 ** 31) } }],
    ['with the last client of all', { claims: { clientId: 2 ** 31 - 1 } }],
    ['with the last of its lifecycles', { claims: { lifecycle: 0x60ff } }],
    ['with 48 bytes of measurement', { claims: { components: [psaComponent({ measurement: bytes(48) })] } }],
    ['with 64 bytes of signer', { claims: { components: [psaComponent({ signerId: bytes(64) })] } }],
    [
      'with components of two parts',
      { claims: { components: [psaComponent({ type: undefined, version: undefined, description: undefined })] } },
    ],
    ['of the older profile without a reference', { profile: 'legacy', claims: { certificationReference: undefined } }],
    [
      'of the older profile with the shorter reference',
      { profile: 'legacy', claims: { certificationReference: '1234567890123' } },
    ],
    [
      'of the older profile without measurements',
      { profile: 'legacy', claims: { components: undefined, noMeasurements: 1 } },
    ],
    ['with a key identifier that is signed', { protectedHeaders: [[4, bytes(32)]] }],
    ['with the shortest verification service', { claims: { verificationService: 'a' } }],
    ['with twenty components', { claims: { components: Array.from({ length: 20 }, () => psaComponent()) } }],
    [
      'nested eight deep, after much that is not',
      {
        moreClaims: [
          [1, manyValues],
          [2, new RawCbor(`${'81'.repeat(7)}00`)],
        ],
      },
    ],
    // RFC 9783 §5.1: what is signed may be written longer than it has to be.
    ['with a longer integer among its claims', { claims: { clientId: new RawCbor(cborHead(0, 1, 4)) } }],
    ['with a longer integer in its protected header', { protectedBytes: hex('a1013806') }],
  ])('%s', (_, changes) => {
    expect(verify(changes).attester?.id).toBe(psaLookupId)
  })

  test('of 8 KiB, and not of a byte more', () => {
    const filled = (length: number) => makeToken({ moreClaims: [[1, bytes(length)]] })
    const longest = 8192 - filled(4000).length + 4000
    expect(filled(longest)).toHaveLength(8192)
    expect(() => psa.parse(psaEvidence(filled(longest)))).not.toThrow()
    expect(() => psa.parse(psaEvidence(filled(longest + 1)))).toThrow(malformed)
  })

  test('of the older profile with no measurements as one with no components', () => {
    const { claims } = verify({ profile: 'legacy', claims: { components: undefined, noMeasurements: 1 } })
    expect(claims).toMatchObject({ components: [] })
  })
})

const parts = (change: (parts: CborValue[]) => CborValue): TokenChanges => ({ changeParts: change })
const components = (...values: CborValue[]): TokenChanges => ({ claims: { components: values } })

describe('a token is malformed', () => {
  test.each<[string, TokenChanges]>([
    ['under the tag of COSE_Mac0', { tag: hex('d1') }],
    ['under its tag twice', { tag: hex('d2d2') }],
    ['under the tag of CWT', { tag: hex('d83dd2') }],
    ['under its tag in two bytes', { tag: hex('d812') }],
    ['of three parts', parts(([a = null, b = null, c = null]) => [a, b, c])],
    ['of five parts', parts((all) => [...all, bytes(1)])],
    ['that is no array', parts((all) => new Map([[1, all]]))],
    ['with an unprotected header', { unprotected: new Map([[4, bytes(2)]]) }],
    ['with an algorithm in the unprotected header', { unprotected: new Map([[1, -7]]), protectedBytes: hex('a0') }],
    ['with an unprotected header that is none', { unprotected: bytes(0) }],
    ['with a payload that is elsewhere', parts(([a = null, b = null, , d = null]) => [a, b, null, d])],
    ['with a payload that is text', parts(([a = null, b = null, , d = null]) => [a, b, 'payload', d])],
    ['with a signature that is none', parts(([a = null, b = null, c = null]) => [a, b, c, 'signature'])],
    [
      'with a protected header that is not in bytes',
      parts(([, b = null, c = null, d = null]) => [new Map([[1, -7]]), b, c, d]),
    ],
    ['with an empty protected header', { protectedBytes: bytes(0) }],
    ['with no algorithm', { protectedBytes: hex('a0') }],
    ['with an algorithm in words', { protectedBytes: cbor(new Map([[1, 'ES256']])) }],
    ['with an algorithm twice', { protectedBytes: hex('a201260126') }],
    ['with a protected header that is no map', { protectedBytes: hex('820126') }],
    ['with bytes behind its protected header', { protectedBytes: hex('a1012600') }],
    [
      'with an array of indefinite length',
      parts((all) => new RawCbor(Buffer.concat([hex('9f'), ...all.map(cbor), hex('ff')]))),
    ],
    [
      'with a longer head than it has to have',
      parts((all) => new RawCbor(Buffer.concat([hex('9804'), ...all.map(cbor)]))),
    ],
    [
      'with a longer length in what is not signed',
      parts(([a = null, b = null, c = null, d = null]) => [
        a,
        b,
        c,
        new RawCbor(Buffer.concat([cborHead(2, 64, 2), d as Buffer])),
      ]),
    ],
    ['with bytes behind it', parts((all) => new RawCbor(Buffer.concat([cbor(all), hex('00')])))],
    ['with bytes behind its claims', { payload: Buffer.concat([psaPayload(), hex('00')]) }],
    ['with claims that are no map', { payload: cbor([1]) }],
    ['with claims of indefinite length', { payload: Buffer.concat([hex('bf'), psaPayload().subarray(1), hex('ff')]) }],
    ['with text of indefinite length', { moreClaims: [[1, new RawCbor('7f6161ff')]] }],
    ['with a tag among its claims', { moreClaims: [[1, new RawCbor('c100')]] }],
    ['with a number that is infinite', { moreClaims: [[1, new RawCbor('f97c00')]] }],
    ['with a number that is none', { moreClaims: [[1, new RawCbor('f97e00')]] }],
    ['with what is undefined', { moreClaims: [[1, new RawCbor('f7')]] }],
    ['with claims nested nine deep', { moreClaims: [[1, new RawCbor('81'.repeat(8) + '00')]] }],
    ['with claims nested nine deep in maps', { moreClaims: [[1, nestedMaps(8)]] }],
    ['with claims nested thousands deep', { moreClaims: [[1, new RawCbor('81'.repeat(7000) + '00')]] }],
    ['with a claim that lacks its value', { payload: Buffer.concat([cborHead(5, 1), cbor(1)]) }],
    ['without a profile', { claims: { profile: undefined } }],
    ['with a profile that is unknown', { claims: { profile: 'tag:psacertified.org,2023:psa#aes-mac' } }],
    ['with the older profile’s name among the newer claims', { claims: { profile: 'PSA_IOT_PROFILE_1' } }],
    [
      'with the newer profile’s name among the older claims',
      { profile: 'legacy', claims: { profile: 'http://arm.com/psa/2.0.0' } },
    ],
    ['with a claim of the older profile', { moreClaims: [[-75001, 1]] }],
    ['with a claim of the newer profile', { profile: 'legacy', moreClaims: [[2394, 1]] }],
    ['with both profiles', { moreClaims: [[-75000, 'PSA_IOT_PROFILE_1']] }],
    ['of the older profile with both profiles', { profile: 'legacy', moreClaims: [[265, 'http://arm.com/psa/2.0.0']] }],
    ['of the older profile with the other claim for a profile', { profile: 'legacy', moreClaims: [[265, 'unknown']] }],
    ['with a claim twice', { moreClaims: [[10, psaNonce]] }],
    [
      'with an unknown claim twice',
      {
        moreClaims: [
          [1, 1],
          [1, 1],
        ],
      },
    ],
    ['with a claim twice in two encodings', { moreClaims: [[new RawCbor(cborHead(0, 10, 2)), psaNonce]] }],
    ['with both boot seeds', { moreClaims: [[2397, bytes(32)]] }],
    ['without a nonce', { claims: { nonce: undefined } }],
    ['with two nonces', { claims: { nonce: [psaNonce, bytes(32)] } }],
    ['with one nonce in an array', { claims: { nonce: [psaNonce] } }],
    ['with a nonce of 16 bytes', { claims: { nonce: bytes(16) } }],
    ['with a nonce in words', { claims: { nonce: 'n'.repeat(32) } }],
    ['without an instance', { claims: { instanceId: undefined } }],
    [
      'with an instance of another type',
      { claims: { instanceId: Buffer.concat([hex('02'), psaInstanceId.subarray(1)]) } },
    ],
    ['with an instance of 17 bytes', { claims: { instanceId: psaInstanceId.subarray(0, 17) } }],
    ['without an implementation', { claims: { implementationId: undefined } }],
    ['with an implementation of 31 bytes', { claims: { implementationId: bytes(31) } }],
    ['without a client', { claims: { clientId: undefined } }],
    ['with a client below all', { claims: { clientId: -(2 ** 31) - 1 } }],
    ['with a client above all', { claims: { clientId: 2 ** 31 } }],
    ['with a client in words', { claims: { clientId: '1' } }],
    ['with half a client', { claims: { clientId: new RawCbor('f93800') } }],
    ['without a lifecycle', { claims: { lifecycle: undefined } }],
    ['with a lifecycle between two states', { claims: { lifecycle: 0x3100 } }],
    ['with a lifecycle above all', { claims: { lifecycle: 0x7000 } }],
    ['with a lifecycle that is written as a float', { claims: { lifecycle: new RawCbor('fa46400000') } }],
    ['with a lifecycle beyond 32 bits that is secured in them', { claims: { lifecycle: 2 ** 32 + 0x3000 } }],
    ['with a lifecycle below zero that is secured in 32 bits', { claims: { lifecycle: 0x3000 - 2 ** 32 } }],
    ['with a lifecycle of three bytes', { claims: { lifecycle: 0x13000 } }],
    ['with a lifecycle below zero', { claims: { lifecycle: -1 } }],
    ['with a boot seed of 7 bytes', { claims: { bootSeed: bytes(7) } }],
    ['with a boot seed of 33 bytes', { claims: { bootSeed: bytes(33) } }],
    ['with a short reference', { claims: { certificationReference: '1234567890123' } }],
    ['with a reference of letters', { claims: { certificationReference: '123456789012x-12345' } }],
    ['with a reference of two lines', { claims: { certificationReference: '1234567890123-12345\n' } }],
    ['with an empty verification service', { claims: { verificationService: '' } }],
    ['with a far too long verification service', { claims: { verificationService: 'a'.repeat(1025) } }],
    ['with a verification service in bytes', { claims: { verificationService: bytes(8) } }],
    ['with text that holds control characters', { claims: { verificationService: 'a\u0000' } }],
    ['with text that is not UTF-8', { claims: { verificationService: new RawCbor('62c328') } }],
    ['without components', { claims: { components: undefined } }],
    ['with no components', components()],
    ['with components that are no array', { claims: { components: psaComponent() } }],
    ['with a component that is no map', components([1, 2])],
    ['with a component without its measurement', components(psaComponent({ measurement: undefined }))],
    ['with a component without its signer', components(psaComponent({ signerId: undefined }))],
    ['with a second component without its signer', components(psaComponent(), psaComponent({ signerId: undefined }))],
    ['with a measurement of 20 bytes', components(psaComponent({ measurement: bytes(20) }))],
    ['with a signer of 31 bytes', components(psaComponent({ signerId: bytes(31) }))],
    ['with a measurement type in bytes', components(psaComponent({ type: bytes(3) }))],
    ['with a measurement type that is null', components(psaComponent({ type: null }))],
    ['with a far too long measurement type', components(psaComponent({ type: 'a'.repeat(65) }))],
    ['with a version in numbers', components(psaComponent({ version: 1 }))],
    ['with a far too long version', components(psaComponent({ version: '1'.repeat(65) }))],
    ['with a description in numbers', components(psaComponent({ description: 1 }))],
    ['with a far too long description', components(psaComponent({ description: 'a'.repeat(65) }))],
    ['with a component that has an unknown part', components(new Map([...psaComponent(), [3, 'epoch']]))],
    ['of the older profile without a boot seed', { profile: 'legacy', claims: { bootSeed: undefined } }],
    ['of the older profile with a short boot seed', { profile: 'legacy', claims: { bootSeed: bytes(31) } }],
    [
      'of the older profile with a reference of letters',
      { profile: 'legacy', claims: { certificationReference: '123456789012x' } },
    ],
    [
      'of the older profile with neither components nor the word that there are none',
      { profile: 'legacy', claims: { components: undefined } },
    ],
    ['of the older profile with both', { profile: 'legacy', claims: { noMeasurements: 1 } }],
    [
      'of the older profile with another word than 1',
      { profile: 'legacy', claims: { components: undefined, noMeasurements: 0 } },
    ],
    ['of the newer profile without measurements', { claims: { components: undefined }, moreClaims: [[-75007, 1]] }],
  ])('%s', (_, changes) => {
    expect(() => psa.parse(psaEvidence(makeToken(changes)))).toThrow(malformed)
  })

  test('under a message authentication code, and says so', () => {
    expect(() => psa.parse(psaEvidence(makeToken({ tag: hex('d1') })))).toThrow('A COSE_Mac0')
  })

  const token = makeToken().toString('base64url')
  test.each<[string, Record<string, never>]>(
    Object.entries({
      'without a token': { format: 'psa' },
      'of another format': { format: 'none', token },
      'with something beside it': { format: 'psa', token, key: '' },
      'in base64 with padding': { format: 'psa', token: `${token}=` },
      'in base64 with white space': { format: 'psa', token: `${token} ` },
      'that is empty': { format: 'psa', token: '' },
      'in numbers': { format: 'psa', token: 1 },
    }) as never,
  )('%s', (_, evidence) => {
    expect(() => psa.parse(evidence)).toThrow(malformed)
  })
})
