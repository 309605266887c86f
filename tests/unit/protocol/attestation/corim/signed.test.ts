import { describe, expect, it, test } from 'vitest'
import { type CborValue, cbor, RawCbor } from '../../../../support/cbor.ts'
import {
  corimMeta,
  corimNow,
  epochTime,
  makeCorim,
  members,
  type SignatureChanges,
  signCorim,
  tagged,
} from '../../../../support/corim/corim.ts'
import { expectInvalid, readBytesOf } from '../../../../support/corim/reading.ts'
import { psaReference } from '../../../../support/corim/references.ts'
import { derBits, derId, derSequence } from '../../../../support/der.ts'
import { psaKeyPair } from '../../../../support/psa.ts'
import { spkiOf, testKeyPair } from '../../../../support/x509-signing.ts'

const content = makeCorim({ references: [psaReference()] })
const seconds = corimNow / 1000
const signer = spkiOf(psaKeyPair())
const verify = (changes: SignatureChanges = {}, payload: Uint8Array = content) =>
  readBytesOf(signCorim(payload, changes), { signer })
const part = (index: number, value: CborValue) => ({
  changeParts: (parts: CborValue[]) => parts.with(index, value),
})

describe('a signed CoRIM', () => {
  test.each(['ES256', 'ES384', 'ES512'] as const)('is verified by the key of its signer: %s', (algorithm) => {
    const key = spkiOf(psaKeyPair(algorithm))
    expect(readBytesOf(signCorim(content, {}, algorithm), { signer: key })).toMatchObject({
      signerName: 'Acme Ltd.',
      isVerified: true,
      notAfterAt: null,
      values: readBytesOf(content).values,
    })
  })

  it('may name its signer as drafts did, in both ways, and with headers that nobody signed', () => {
    expect(verify({ header: { 15: undefined, 8: corimMeta('Acme') } }).signerName).toBe('Acme')
    expect(verify({ header: { 8: corimMeta('Acme Ltd.') } }).signerName).toBe('Acme Ltd.')
    expect(verify({ unprotected: new Map([[33, [content]]]), header: { 4: Buffer.of(7) } }).isVerified).toBe(true)
  })

  it('is refused without a key, unless it is taken unverified', () => {
    const bytes = signCorim(content)
    expectInvalid(() => readBytesOf(bytes), 'It is signed, and no key is given to verify that with.')
    expect(readBytesOf(bytes, { unverified: true })).toMatchObject({ signerName: 'Acme Ltd.', isVerified: false })
  })

  it('is what a signer asks for: one that is not signed is refused', () => {
    expectInvalid(() => readBytesOf(content, { signer }), 'It is not signed.')
  })

  it('that is taken unverified still has to be one, in its time', () => {
    const late = signCorim(content, { header: { 15: members({ 1: 'Acme', 4: seconds - 1 }) } })
    expectInvalid(() => readBytesOf(late, { unverified: true }), 'signature-validity: it was valid until')
  })

  it('ends where signature or content end, whichever is first', () => {
    const ending = (corim: number, claims: number, meta: number) =>
      readBytesOf(
        signCorim(
          makeCorim({ references: [psaReference()], corim: { 4: members({ 1: epochTime(seconds + corim) }) } }),
          {
            header: {
              8: corimMeta('Acme', { 1: epochTime(seconds + meta) }),
              15: members({ 1: 'Acme', 4: seconds + claims, 5: seconds }),
            },
          },
        ),
        { signer },
      ).notAfterAt
    expect(ending(1, 2, 3)).toBe(corimNow + 1000)
    expect(ending(3, 1, 2)).toBe(corimNow + 1000)
    expect(ending(3, 2, 1)).toBe(corimNow + 1000)
  })

  test.each<[string, SignatureChanges, string]>([
    ['by another key', { signingKey: testKeyPair('P-256', 'other').privateKey }, 'signature: it is not by the key'],
    ['changed afterwards', part(2, cbor(tagged(501, members({ 0: 'x' })))), 'signature: it is not by the key'],
    [
      'with another header',
      part(0, cbor(members({ 1: -7, 3: 'application/rim+cbor', 15: members({ 1: 'Other' }) }))),
      'signature: it is not by the key',
    ],
    ['with half a signature', part(3, Buffer.alloc(32)), 'signature: it is not by the key'],
    ['of a curve of another algorithm', { header: { 1: -35 } }, 'protected.alg is of another curve'],
    ['with RSA', { header: { 1: -37 } }, 'protected.alg is none of ES256, ES384 and ES512'],
    ['with a critical header', { header: { 2: [15] } }, 'protected.crit: a header is critical'],
    ['of no algorithm', { header: { 1: undefined } }, 'protected.alg names no algorithm'],
    ['of an algorithm by name', { header: { 1: 'ES256' } }, 'protected.alg names no algorithm'],
    ['of another type', { header: { 3: 'application/eat+cwt' } }, 'protected.content-type is not application/rim+cbor'],
    ['of no type', { header: { 3: undefined } }, 'protected.content-type is not application/rim+cbor'],
    ['of a hash', { header: { 258: -16 } }, 'payload: what is signed is not inside of it'],
    ['apart from its content', part(2, null), 'payload: what is signed is not inside of it'],
    ['by nobody', { header: { 15: undefined } }, 'protected has neither CWT-Claims nor corim-meta'],
    ['by two', { header: { 8: corimMeta('Other') } }, 'CWT-Claims and corim-meta name two signers'],
    ['by no name', { header: { 15: members({ 2: 'x' }) } }, 'protected.CWT-Claims.iss is no text'],
    ['by claims that are none', { header: { 15: 7 } }, 'protected.CWT-Claims is no map'],
    ['by an empty name', { header: { 8: corimMeta('') } }, 'protected.corim-meta.signer.signer-name is no text'],
    ['by a meta map that is no bytes', { header: { 8: members({ 0: 1 }) } }, 'protected.corim-meta is no byte string'],
    ['by a meta map that is no CBOR', { header: { 8: Buffer.of(0xff) } }, 'protected.corim-meta is not CBOR'],
    [
      'by more of a meta map',
      { header: { 8: cbor(members({ 0: members({ 0: 'A' }), 2: 1 })) } },
      'corim-meta has a member 2',
    ],
    [
      'by more of a signer',
      { header: { 8: cbor(members({ 0: members({ 0: 'A', 2: 1 }) })) } },
      'signer has a member 2',
    ],
    [
      'too early',
      { header: { 15: members({ 1: 'A', 5: seconds + 1 }) } },
      'signature-validity: it is not valid before',
    ],
    ['too late', { header: { 15: members({ 1: 'A', 4: seconds - 1 }) } }, 'signature-validity: it was valid until'],
    [
      'too late, as drafts say it',
      { header: { 15: undefined, 8: corimMeta('A', { 1: epochTime(seconds - 1) }) } },
      'signature-validity: it was valid until',
    ],
    ['until no time', { header: { 15: members({ 1: 'A', 4: 'x' }) } }, 'protected.CWT-Claims.exp is no time'],
    ['from no time', { header: { 15: members({ 1: 'A', 5: -1 }) } }, 'protected.CWT-Claims.nbf is no time'],
    ['in three parts', { changeParts: (parts) => parts.slice(0, 3) }, 'It is no COSE_Sign1'],
    ['in five parts', { changeParts: (parts) => [...parts, 0] }, 'It is no COSE_Sign1'],
    ['over nothing', { changeParts: () => null }, 'It is no COSE_Sign1'],
    ['in a map', { changeParts: () => members({ 0: 1 }) }, 'It is no COSE_Sign1'],
    ['with a header that is no map', { unprotected: [] }, 'It is no COSE_Sign1'],
    ['with a protected header that is no bytes', part(0, new Map()), 'protected is no byte string'],
    ['with an empty protected header', part(0, Buffer.alloc(0)), 'protected is not CBOR'],
    ['with a protected header that is no map', part(0, cbor([1])), 'protected is no map'],
    ['over what is no bytes', part(2, 'x'), 'payload is no byte string'],
    ['by what is no bytes', part(3, 'x'), 'signature is no byte string'],
    ['written longer than it has to be', { changeParts: () => new RawCbor('9800') }, 'The signed CoRIM is not CBOR'],
  ])('%s is refused', (_, changes, what) => {
    expectInvalid(() => verify(changes), what)
  })

  it('in another one is refused', () => {
    expectInvalid(() => verify({}, signCorim(content)), 'The CoRIM has not the tag 501')
  })

  test.each<[string, Uint8Array, string]>([
    ['none', Buffer.of(1), 'The key of the signer: The key is no SubjectPublicKeyInfo in DER.'],
    [
      'of RSA',
      spkiOf(testKeyPair('RSA-2048', 'psa')),
      'The key of the signer: The key is not one of P-256, P-384 or P-521.',
    ],
    [
      'the point at infinity, for which anybody can sign',
      derSequence(derSequence(derId('1.2.840.10045.2.1'), derId('1.2.840.10045.3.1.7')), derBits(Buffer.of(0))),
      'The key of the signer: The key is no point of its curve but that at infinity.',
    ],
  ])('is refused with a key that is %s', (_, key, what) => {
    expectInvalid(() => readBytesOf(signCorim(content), { signer: key }), what)
  })
})
