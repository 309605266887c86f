import { createHash, createPublicKey, X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { MAX_CERTIFICATE_BYTES, parseCertificate } from '../../../../protocol/attestation/x509/parse-certificate.ts'
import {
  der,
  derBits,
  derBoolean,
  derId,
  derInteger,
  derNull,
  derOctets,
  derSequence,
  derTime,
} from '../../../support/der.ts'
import {
  CERTIFICATE_NOT_AFTER,
  CERTIFICATE_NOT_BEFORE,
  type CertificateChanges,
  derName,
  makePath,
  TEST_PURPOSE,
  testExtensions,
} from '../../../support/x509.ts'
import { signings, spkiOf, testKeyPair } from '../../../support/x509-signing.ts'

const { basicConstraints, keyUsage, extendedKeyUsage, subjectAltName } = testExtensions
const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const hex = (text: string) => Buffer.from(text, 'hex')
const leafWith = (leaf: CertificateChanges) => makePath({ leaf }).leaf
const value = (id: string, bytes: Uint8Array) => ({ extensions: [{ id, value: bytes }] })

describe('a certificate', () => {
  test('is read in all of its parts', () => {
    const san = subjectAltName()
    const unknown = { id: '1.2.840.99999.7', critical: true, value: Buffer.of(1, 2, 3) }
    const extensions = [
      basicConstraints(false),
      keyUsage('keyAgreement', 'decipherOnly'),
      extendedKeyUsage(TEST_PURPOSE, '1.2.3'),
      san,
      unknown,
    ]
    const { leaf, keys } = makePath({ leaf: { extensions } })
    const name = (text: string) => `subject:${createHash('sha256').update(derName(text)).digest('hex')}`
    const read = parseCertificate(leaf)
    expect(read).toMatchObject({
      subjectId: name('Test Leaf'),
      issuerId: name('Test Intermediate'),
      notBefore: CERTIFICATE_NOT_BEFORE,
      notAfter: CERTIFICATE_NOT_AFTER,
      isAuthority: false,
      pathLength: undefined,
      extendedKeyUsage: [TEST_PURPOSE, '1.2.3'],
      criticalExtensions: ['2.5.29.19', '2.5.29.15', '2.5.29.17', unknown.id],
    })
    expect(new Set(read.keyUsage)).toEqual(new Set(['keyAgreement', 'decipherOnly']))
    expect(
      [read.der, read.spki, read.subject, read.issuer, read.signatureAlgorithm].map((part) => Buffer.from(part)),
    ).toEqual([
      leaf,
      spkiOf(keys.leaf),
      derName('Test Leaf'),
      derName('Test Intermediate'),
      signings['ECDSA with SHA-256'].algorithm,
    ])
    expect(Buffer.from(read.subjectAltName ?? [])).toEqual(san.value)
    expect(Buffer.from(read.extensions.get(unknown.id) ?? [])).toEqual(unknown.value)
    expect(read.publicKey.equals(keys.leaf.publicKey)).toBe(true)
  })

  test.each(['RSA-2048', 'P-256', 'P-384', 'P-521', 'Ed25519'] as const)(
    'of the generator is one for OpenSSL too: %s',
    (kind) => {
      const { root, intermediate, leaf, keys } = makePath({ kind })
      const [r, i, l] = [root, intermediate, leaf].map((one) => new X509Certificate(one)) as [
        X509Certificate,
        X509Certificate,
        X509Certificate,
      ]
      expect([r.ca, i.ca, l.ca]).toEqual([true, true, false])
      expect(l.checkIssued(i) && i.checkIssued(r)).toBe(true)
      expect(l.verify(keys.intermediate.publicKey) && i.verify(keys.root.publicKey)).toBe(true)
      expect(l.keyUsage).toEqual([TEST_PURPOSE])
      expect([r, i, l].map(({ validToDate }) => validToDate.getTime())).toEqual([
        CERTIFICATE_NOT_AFTER,
        CERTIFICATE_NOT_AFTER,
        CERTIFICATE_NOT_AFTER,
      ])
    },
  )

  test('of an authority has its path length, also the one that needs two bytes', () => {
    const { intermediate } = makePath({ intermediate: { extensions: [basicConstraints(true, 200)] } })
    expect(parseCertificate(intermediate)).toMatchObject({ isAuthority: true, pathLength: 200 })
  })

  test.each([
    'digitalSignature',
    'nonRepudiation',
    'keyEncipherment',
    'dataEncipherment',
    'keyAgreement',
    'keyCertSign',
    'crlSign',
    'encipherOnly',
    'decipherOnly',
  ] as const)('says that its key is for %s and nothing else', (use) => {
    expect(parseCertificate(leafWith({ extensions: [keyUsage(use)] })).keyUsage).toEqual([use])
  })

  test.each([
    ['1950', '500101000000Z', Date.UTC(1950, 0, 1)],
    ['1999', '991231235959Z', Date.UTC(1999, 11, 31, 23, 59, 59)],
    ['2000', '000229120000Z', Date.UTC(2000, 1, 29, 12)],
    ['2049', '491231235959Z', Date.UTC(2049, 11, 31, 23, 59, 59)],
  ])('of %s says so in two digits', (_, text, at) => {
    expect(parseCertificate(leafWith({ notBefore: der(0x17, Buffer.from(text)) })).notBefore).toBe(at)
  })

  test('may never end: 31 December 9999', () => {
    const at = Date.UTC(9999, 11, 31, 23, 59, 59)
    expect(parseCertificate(leafWith({ notAfter: derTime(at) })).notAfter).toBe(at)
  })

  test('may write out that it is no authority', () => {
    const extensions = [{ id: '2.5.29.19', value: derSequence(derBoolean(false)) }]
    expect(parseCertificate(leafWith({ extensions })).isAuthority).toBe(false)
  })

  test('may call an RSA key one for OAEP, as older TPMs do', () => {
    const { publicKey } = testKeyPair('RSA-2048', 'leaf')
    const key = derBits(publicKey.export({ format: 'der', type: 'pkcs1' }))
    const spki = derSequence(derSequence(derId('1.2.840.113549.1.1.7'), derNull), key)
    expect(() => createPublicKey({ key: spki, format: 'der', type: 'spki' })).toThrow()
    expect(parseCertificate(leafWith({ spki })).publicKey.equals(publicKey)).toBe(true)
  })

  test('has 8 KiB at most', () => {
    const filled = (length: number) =>
      leafWith({ ...value('1.2.3', Buffer.alloc(length)), changeSignature: () => Buffer.alloc(64) })
    const longest = MAX_CERTIFICATE_BYTES - filled(4000).length + 4000
    expect(filled(longest)).toHaveLength(MAX_CERTIFICATE_BYTES)
    expect(() => parseCertificate(filled(longest))).not.toThrow()
    expect(() => parseCertificate(filled(longest + 1))).toThrow(malformed)
  })
})

const p256 = spkiOf(testKeyPair('P-256', 'leaf'))
const point = p256.subarray(-65)
const bitsOfRsa = testKeyPair('RSA-2048').publicKey.export({ format: 'der', type: 'pkcs1' })

describe('a certificate is malformed', () => {
  test.each<[string, CertificateChanges]>([
    ['of version 1', { version: derInteger(0) }],
    ['of version 2', { version: derInteger(1) }],
    ['with bytes behind it', { behind: Buffer.of(0) }],
    ['with a fourth part', { end: derNull }],
    ['with parts behind the extensions', { tbsEnd: derNull }],
    ['with another algorithm inside', { innerAlgorithm: signings['ECDSA with SHA-384'].algorithm }],
    ['without an issuer', { issuer: '' }],
    ['with an issuer that is no name', { issuer: derSequence(derNull) }],
    ['with a subject that is no name', { subject: derSequence(derNull) }],
    [
      'with an extension twice',
      { extensions: [basicConstraints(false), extendedKeyUsage('1.2.3'), basicConstraints(false)] },
    ],
    ['with an unknown extension twice', { extensions: [1, 2].map((one) => ({ id: '1.2.3', value: Buffer.of(one) })) }],
    [
      'without a key',
      {
        spki: derSequence(
          derSequence(derId('1.2.840.10045.2.1'), derId('1.2.840.10045.3.1.7')),
          derBits(Buffer.alloc(0)),
        ),
      },
    ],
    [
      'with a point that is not on the curve',
      { spki: Buffer.concat([p256.subarray(0, -1), Buffer.of((p256.at(-1) as number) ^ 1)]) },
    ],
    [
      'with a curve that is not named',
      { spki: derSequence(derSequence(derId('1.2.840.10045.2.1'), explicitP256()), derBits(point)) },
    ],
    ['with a key of no algorithm', { spki: derSequence(derSequence(), derBits(point)) }],
    ['with a key of an unknown algorithm', { spki: derSequence(derSequence(derId('1.2.3')), derBits(point)) }],
    [
      'with a key for OAEP that is none',
      { spki: derSequence(derSequence(derId('1.2.840.113549.1.1.7')), derBits(point)) },
    ],
    [
      'with a key for OAEP in half a byte',
      {
        spki: derSequence(
          derSequence(derId('1.2.840.113549.1.1.7')),
          der(0x03, Buffer.of(1), bitsOfRsa.subarray(0, -1), Buffer.of(0)),
        ),
      },
    ],
    ['without extensions', { extensions: [] }],
    ['with an extension that holds more', { extensions: [derSequence(derId('1.2.3'), derOctets(), derNull)] }],
    ['with an extension without a value', { extensions: [derSequence(derId('1.2.3'))] }],
    ['with an extension whose value is in bits', { extensions: [derSequence(derId('1.2.3'), derBits(Buffer.of(0)))] }],
    [
      'with an extension that is critical twice',
      { extensions: [derSequence(derId('1.2.3'), derBoolean(true), derBoolean(true), derOctets())] },
    ],
    ['with an extension that is none', { extensions: [derNull] }],
    [
      'with a key that is the point at infinity, for which anybody can sign',
      {
        spki: derSequence(derSequence(derId('1.2.840.10045.2.1'), derId('1.2.840.10045.3.1.7')), derBits(Buffer.of(0))),
      },
    ],
    [
      'with more extensions than anybody needs',
      { extensions: Array.from({ length: 33 }, (_, n) => ({ id: `1.2.3.${n}`, value: Buffer.of(5, 0) })) },
    ],
    [
      'with more purposes than anybody needs',
      value('2.5.29.37', derSequence(...Array.from({ length: 33 }, (_, n) => derId(`1.2.3.${n}`)))),
    ],
    ['with a key usage that is none', value('2.5.29.15', derInteger(1))],
    ['with a key usage of three bytes', value('2.5.29.15', derBits(Buffer.of(8, 0, 1)))],
    ['with a key usage in another type', value('2.5.29.15', der(0x83, Buffer.of(7, 0x80)))],
    ['with basic constraints in another type', value('2.5.29.19', der(0xa0, derBoolean(true)))],
    ['with an extended key usage in another type', value('2.5.29.37', der(0xa0, derId('1.2.3')))],
    ['with basic constraints that are none', value('2.5.29.19', derBoolean(true))],
    ['with a path length, but no authority', value('2.5.29.19', derSequence(derInteger(0)))],
    ['with a third basic constraint', value('2.5.29.19', derSequence(derBoolean(true), derInteger(0), derInteger(0)))],
    ['with a path length below zero', value('2.5.29.19', derSequence(derBoolean(true), der(0x02, Buffer.of(0xff))))],
    [
      'with a path length of nine bytes',
      value('2.5.29.19', derSequence(derBoolean(true), der(0x02, Buffer.alloc(9, 0x7f)))),
    ],
    ['with basic constraints in BER', value('2.5.29.19', hex('3003010101'))],
    ['with bytes behind the basic constraints', value('2.5.29.19', hex('3003 0101ff 00'.replaceAll(' ', '')))],
    ['with an extended key usage that is none', value('2.5.29.37', derOctets())],
    ['with an extended key usage of nothing', value('2.5.29.37', derSequence())],
    ['with an extended key usage that is no OID', value('2.5.29.37', derSequence(derInteger(1)))],
    ['with a time that has no type', { notAfter: der(0x0c, Buffer.from('20300101000000Z')) }],
    ['with a third time', { notAfter: Buffer.concat([derTime(0), derTime(0)]) }],
    ['without an end', { notAfter: Buffer.alloc(0) }],
    ['on 30 February', { notAfter: der(0x17, Buffer.from('300230000000Z')) }],
    ['in month 13', { notAfter: der(0x17, Buffer.from('301301000000Z')) }],
    ['at 24 o’clock', { notAfter: der(0x17, Buffer.from('300101240000Z')) }],
    ['without seconds', { notAfter: der(0x17, Buffer.from('3001010000Z')) }],
    ['with fractions of seconds', { notAfter: der(0x18, Buffer.from('20300101000000.5Z')) }],
    ['in another time zone', { notAfter: der(0x17, Buffer.from('300101000000+0100')) }],
    ['in local time', { notAfter: der(0x18, Buffer.from('203001010000000')) }],
    ['with letters in its time', { notAfter: der(0x17, Buffer.from('3o0101000000Z')) }],
  ])('%s', (_, changes) => {
    expect(() => parseCertificate(leafWith(changes))).toThrow(malformed)
  })

  test('in another type', () => {
    const leaf = leafWith({})
    leaf[0] = 0xa0
    expect(() => parseCertificate(leaf)).toThrow(malformed)
  })

  test('with half a byte of signature', () => {
    const leaf = leafWith({ changeSignature: () => Buffer.alloc(8) })
    leaf[leaf.length - 9] = 1
    expect(() => parseCertificate(leaf)).toThrow(malformed)
  })
})

/** ECParameters of P-256 (RFC 3279 §2.3.5), which OpenSSL takes for the named curve. */
function explicitP256(): Buffer {
  return hex(
    '3081f7020101302c06072a8648ce3d0101022100ffffffff00000001000000000000000000000000ffffffffffffffffffffffff305b0420ffffffff00000001000000000000000000000000fffffffffffffffffffffffc04205ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b031500c49d360886e704936a6678e1139d26b7819f7e900441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551020101',
  )
}
