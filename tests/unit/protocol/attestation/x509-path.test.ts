import { describe, expect, test } from 'vitest'
import { parseCertificate } from '../../../../protocol/attestation/x509/parse-certificate.ts'
import { pathChecks } from '../../../../protocol/attestation/x509/path-rules.ts'
import { type PathOptions, verifyPath } from '../../../../protocol/attestation/x509/verify-path.ts'
import { derTime } from '../../../support/der.ts'
import {
  CERTIFICATE_NOT_AFTER,
  CERTIFICATE_NOT_BEFORE,
  CERTIFICATE_NOW,
  makePath,
  parsePath,
  TEST_PURPOSE,
  type TestExtension,
  testExtensions,
} from '../../../support/x509.ts'
import { pss, type Signing, signingOf, signings, spkiOf, testKeyPair } from '../../../support/x509-signing.ts'

const { basicConstraints, keyUsage, extendedKeyUsage, subjectAltName, nameConstraints, certificatePolicies } =
  testExtensions
const authority = keyUsage('keyCertSign', 'crlSign')
const leafExtensions: [TestExtension, TestExtension, TestExtension] = [
  basicConstraints(false),
  keyUsage('keyAgreement'),
  extendedKeyUsage(TEST_PURPOSE),
]
const unknown = { id: '1.2.3.4', value: Buffer.of(5, 0) }

const rootKey = testKeyPair('P-256', 'root')

type Changes = NonNullable<Parameters<typeof makePath>[0]>

function optionsOf(changes?: Changes, given: Partial<PathOptions> = {}): PathOptions {
  const { root, intermediate, leaf } = parsePath(makePath(changes))
  return {
    leaf,
    intermediates: [intermediate],
    roots: [root],
    now: CERTIFICATE_NOW,
    check: 'test.path',
    leafExtendedKeyUsage: TEST_PURPOSE,
    leafKeyUsage: 'keyAgreement',
    ...given,
  }
}

const refused = (check: (typeof pathChecks)[number]) =>
  expect.objectContaining({ code: 'evidence_refused', check: `test.path.${check}` })

function flipLastBit(signature: Buffer): Buffer {
  return Buffer.concat([signature.subarray(0, -1), Buffer.of((signature.at(-1) as number) ^ 1)])
}

/** The intermediate has a key of this kind, with which it signs the leaf. */
function signedBy(kind: 'RSA-1024' | 'Ed25519'): Changes {
  const key = testKeyPair(kind)
  return { intermediate: { spki: spkiOf(key) }, leaf: { signing: signingOf(kind), signingKey: key.privateKey } }
}

/** Signs all of the three with the same key and algorithm. */
function signedAs(kind: Parameters<typeof testKeyPair>[0], signing: Signing): Changes {
  return { kind, root: { signing }, intermediate: { signing }, leaf: { signing } }
}

describe('a path', () => {
  test('is given back from the leaf to the root', () => {
    const options = optionsOf()
    expect(verifyPath(options)).toEqual([options.leaf, options.intermediates[0], options.roots[0]])
  })

  test.each([
    ['RSA-2048', 'RSA with SHA-256'],
    ['RSA-2048', 'RSA with SHA-256, without NULL'],
    ['RSA-2048', 'RSA with SHA-384'],
    ['RSA-2048', 'RSA with SHA-512'],
    ['RSA-2048', 'PSS with SHA-256'],
    ['RSA-2048', 'PSS with SHA-256, without NULL'],
    ['RSA-2048', 'PSS with SHA-384'],
    ['RSA-2048', 'PSS with SHA-384 and the trailer'],
    ['RSA-2048', 'PSS with SHA-512'],
    ['P-256', 'ECDSA with SHA-256'],
    ['P-256', 'ECDSA with SHA-512'],
    ['P-384', 'ECDSA with SHA-384'],
    ['P-521', 'ECDSA with SHA-512'],
  ] as const)('of %s keys may be signed with %s', (kind, signing) => {
    expect(verifyPath(optionsOf(signedAs(kind, signings[signing])))).toHaveLength(3)
  })

  test.each([
    ['at its first moment', CERTIFICATE_NOT_BEFORE],
    ['at its last moment', CERTIFICATE_NOT_AFTER],
  ])('holds %s', (_, now) => {
    expect(verifyPath(optionsOf(undefined, { now }))).toHaveLength(3)
  })

  test.each<[string, Changes, Partial<PathOptions>?]>([
    ['a root that allows exactly one authority', { root: { extensions: [basicConstraints(true, 1), authority] } }],
    [
      'critical certificate policies',
      { intermediate: { extensions: [basicConstraints(true), authority, certificatePolicies()] } },
    ],
    ['unknown extensions that are not critical', { leaf: { extensions: [...leafExtensions, unknown] } }],
    [
      'a critical extension that the caller understands',
      { leaf: { subject: '', extensions: [...leafExtensions, subjectAltName()] } },
      { criticalLeafExtensions: ['2.5.29.17'] },
    ],
    [
      'an intermediate for the purpose',
      { intermediate: { extensions: [basicConstraints(true), authority, extendedKeyUsage(TEST_PURPOSE)] } },
    ],
    [
      'an intermediate for any purpose',
      { intermediate: { extensions: [basicConstraints(true), authority, extendedKeyUsage('2.5.29.37.0')] } },
    ],
    [
      'an intermediate for other purposes, when none is asked for',
      { intermediate: { extensions: [basicConstraints(true), authority, extendedKeyUsage('1.2.3')] } },
      { leafExtendedKeyUsage: undefined } as never,
    ],
    [
      'no purpose asked for',
      { leaf: { extensions: [basicConstraints(false)] } },
      { leafExtendedKeyUsage: undefined, leafKeyUsage: undefined } as never,
    ],
  ])('is taken with %s', (_, changes, given) => {
    expect(verifyPath(optionsOf(changes, given))).toHaveLength(3)
  })

  test('may go from the root to the leaf directly', () => {
    const { root, leaf } = makePath({ leaf: { issuer: 'Test Root', signingKey: rootKey.privateKey } })
    const given = { leaf: parseCertificate(leaf), roots: [parseCertificate(root)], intermediates: [] }
    expect(verifyPath(optionsOf(undefined, given))).toHaveLength(2)
  })
})

/** One fault in each, in the order of the checks. */
const faults: [(typeof pathChecks)[number], string, Changes, Partial<PathOptions>?][] = [
  [
    'leaf',
    'a leaf that is an authority',
    { leaf: { extensions: [basicConstraints(true), ...leafExtensions.slice(1)] } },
  ],
  [
    'critical_extension',
    'a leaf with a critical extension that nobody knows',
    { leaf: { extensions: [...leafExtensions, { ...unknown, critical: true }] } },
  ],
  [
    'critical_extension',
    'a leaf with a critical extension that the caller does not look at',
    { leaf: { extensions: [...leafExtensions, subjectAltName()] } },
    { criticalLeafExtensions: ['1.2.3.4'] },
  ],
  [
    'critical_extension',
    'an intermediate with a critical extension that is understood of leaves alone',
    { intermediate: { extensions: [basicConstraints(true), authority, subjectAltName()] } },
    { criticalLeafExtensions: ['2.5.29.17'] },
  ],
  [
    'critical_extension',
    'a root with a critical extension that nobody knows',
    { root: { extensions: [basicConstraints(true), authority, { ...unknown, critical: true }] } },
  ],
  ['key_usage', 'a leaf for another use', { leaf: { extensions: [keyUsage('keyEncipherment'), leafExtensions[2]] } }],
  ['key_usage', 'a leaf that does not say its use', { leaf: { extensions: [leafExtensions[0], leafExtensions[2]] } }],
  [
    'extended_key_usage',
    'a leaf for another purpose',
    { leaf: { extensions: [...leafExtensions.slice(0, 2), extendedKeyUsage('1.3.6.1.5.5.7.3.1', '2.23.133.8.2')] } },
  ],
  [
    'extended_key_usage',
    'a leaf for any purpose',
    { leaf: { extensions: [...leafExtensions.slice(0, 2), extendedKeyUsage('2.5.29.37.0')] } },
  ],
  ['extended_key_usage', 'a leaf that does not say its purpose', { leaf: { extensions: leafExtensions.slice(0, 2) } }],
  [
    'extended_key_usage',
    'an intermediate for other purposes',
    { intermediate: { extensions: [basicConstraints(true), authority, extendedKeyUsage('2.23.133.8.3')] } },
  ],
  [
    'extended_key_usage',
    'a root for other purposes',
    { root: { extensions: [basicConstraints(true), authority, extendedKeyUsage('2.23.133.8.3')] } },
  ],
  ['validity', 'a leaf that is over', { leaf: { notAfter: derTime(CERTIFICATE_NOW - 1000) } }],
  ['validity', 'a leaf that has not begun', { leaf: { notBefore: derTime(CERTIFICATE_NOW + 1000) } }],
  ['validity', 'an intermediate that is over', { intermediate: { notAfter: derTime(CERTIFICATE_NOW - 1000) } }],
  ['validity', 'an intermediate that has not begun', { intermediate: { notBefore: derTime(CERTIFICATE_NOW + 1000) } }],
  ['validity', 'a root that is over', { root: { notAfter: derTime(CERTIFICATE_NOW - 1000) } }],
  ['validity', 'a root that has not begun', { root: { notBefore: derTime(CERTIFICATE_NOW + 1000) } }],
  ['validity', 'a time just before all of them', {}, { now: CERTIFICATE_NOT_BEFORE - 1 }],
  ['validity', 'a time just after all of them', {}, { now: CERTIFICATE_NOT_AFTER + 1 }],
  ['key', 'a leaf with an RSA key of 1024 bits', { leafKey: testKeyPair('RSA-1024') }],
  ['key', 'a leaf with a key on P-224', { leafKey: testKeyPair('P-224') }],
  ['key', 'a leaf with an exponent of 3', { leafKey: testKeyPair('RSA-2048 with exponent 3') }],
  ['key', 'a leaf with a key of another kind', { leafKey: testKeyPair('Ed25519') }],
  ['key', 'an intermediate with a weak key', signedBy('RSA-1024')],
  ['key', 'an intermediate with a key of another kind', signedBy('Ed25519')],
  ['anchor', 'no roots', {}, { roots: [] }],
  ['anchor', 'no intermediate', {}, { intermediates: [] }],
  ['anchor', 'a leaf of another issuer', { leaf: { issuer: 'Test Other' } }],
  ['anchor', 'a root of another name', { root: { subject: 'Test Other' } }],
  ['authority', 'an intermediate that is none', { intermediate: { extensions: [basicConstraints(false), authority] } }],
  ['authority', 'an intermediate that does not say so', { intermediate: { extensions: [authority] } }],
  ['authority', 'a root that is none', { root: { extensions: [basicConstraints(false), authority] } }],
  [
    'certificate_signing',
    'an intermediate whose key signs other things',
    { intermediate: { extensions: [basicConstraints(true), keyUsage('digitalSignature', 'crlSign')] } },
  ],
  [
    'certificate_signing',
    'an intermediate that does not say the use of its key',
    { intermediate: { extensions: [basicConstraints(true)] } },
  ],
  [
    'certificate_signing',
    'a root whose key signs other things',
    { root: { extensions: [basicConstraints(true), keyUsage('crlSign')] } },
  ],
  [
    'path_length',
    'a root with no authority below it',
    { root: { extensions: [basicConstraints(true, 0), authority] } },
  ],
  [
    'name_constraints',
    'an intermediate that constrains names',
    { intermediate: { extensions: [basicConstraints(true), authority, nameConstraints()] } },
  ],
  [
    'name_constraints',
    'a root that constrains names, if it were not critical',
    { root: { extensions: [basicConstraints(true), authority, nameConstraints(false)] } },
  ],
  ['signature_algorithm', 'a leaf signed with SHA-1', { leaf: { signing: signings['ECDSA with SHA-1'] } }],
  ['signature_algorithm', 'a root that signed with SHA-1', { intermediate: { signing: signings['ECDSA with SHA-1'] } }],
  ...(
    [
      ['MD5', signings['RSA with MD5']],
      ['SHA-1', signings['RSA with SHA-1']],
      ['SHA-224', signings['RSA with SHA-224']],
      ['PSS and SHA-1', signings['PSS with SHA-1']],
      ['PSS and a salt of another length', pss({ hash: 'SHA256', saltLength: 20 })],
      ['PSS and a trailer of its own', pss({ hash: 'SHA256', saltLength: 32, trailer: 2 })],
      ['PSS whose mask has another hash', pss({ hash: 'SHA256', maskHash: 'SHA1', saltLength: 32 })],
    ] as const
  ).map(([name, signing]): (typeof faults)[number] => [
    'signature_algorithm',
    `an RSA signature with ${name}`,
    { kind: 'RSA-2048', leaf: { signing } },
  ]),
  ['signature', 'a leaf signed by another key', { leaf: { signingKey: testKeyPair('P-256', 'other').privateKey } }],
  ['signature', 'a leaf with one bit of the signature changed', { leaf: { changeSignature: flipLastBit } }],
  [
    'signature',
    'an intermediate signed by another key',
    { intermediate: { signingKey: testKeyPair('P-256', 'other').privateKey } },
  ],
  ['signature', 'a root of the right name and another key', { root: { spki: spkiOf(testKeyPair('P-256', 'other')) } }],
  [
    'signature',
    'a signature that says it is one of RSA',
    { leaf: { signing: { ...signings['RSA with SHA-256'], sign: signings['ECDSA with SHA-256'].sign } } },
  ],
  [
    'signature',
    'a signature over another hash than it says',
    { leaf: { signing: { ...signings['ECDSA with SHA-256'], sign: signings['ECDSA with SHA-384'].sign } } },
  ],
]

describe('a path is refused', () => {
  test.each(faults)('by %s: %s', (check, _, changes, given) => {
    expect(() => verifyPath(optionsOf(changes, given))).toThrow(refused(check))
  })

  test('by every check that there is', () => {
    const tested = new Set([...faults.map(([check]) => check), 'length'])
    expect([...tested].sort()).toEqual([...pathChecks])
  })
})
