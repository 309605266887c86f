import type { KeyObject } from 'node:crypto'
import { type ParsedCertificate, parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import { der, derBits, derBoolean, derId, derInteger, derOctets, derSequence, derText, derTime } from './der.ts'
import { type KeyKind, type KeyPair, type Signing, signingOf, spkiOf, testKeyPair } from './x509-signing.ts'

/** In the middle of the validity of every certificate that does not say otherwise. */
export const CERTIFICATE_NOW = Date.UTC(2026, 10, 28, 12)
export const CERTIFICATE_NOT_BEFORE = Date.UTC(2026, 0, 1)
export const CERTIFICATE_NOT_AFTER = Date.UTC(2049, 11, 31, 23, 59, 59)

/** Name with one common name; without a text, the empty one. */
export function derName(commonName: string | Uint8Array): Uint8Array {
  if (typeof commonName !== 'string') return commonName
  return commonName === '' ? derSequence() : derSequence(der(0x31, derSequence(derId('2.5.4.3'), derText(commonName))))
}

export interface TestExtension {
  id: string
  critical?: boolean
  value: Uint8Array
}

const keyUses = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'crlSign',
  'encipherOnly',
  'decipherOnly',
] as const

export const testExtensions = {
  basicConstraints: (isAuthority: boolean, pathLength?: number): TestExtension => ({
    id: '2.5.29.19',
    critical: true,
    value: derSequence(
      ...(isAuthority ? [derBoolean(true)] : []),
      ...(pathLength === undefined ? [] : [derInteger(pathLength)]),
    ),
  }),
  keyUsage: (...uses: (typeof keyUses)[number][]): TestExtension => {
    const bits = uses.reduce((sum, use) => sum | (0x8000 >> keyUses.indexOf(use)), 0)
    const bytes = (bits & 0xff) === 0 ? Buffer.of(bits >> 8) : Buffer.of(bits >> 8, bits & 0xff)
    const last = bytes.at(-1) as number
    return { id: '2.5.29.15', critical: true, value: derBits(bytes, last === 0 ? 0 : 31 - Math.clz32(last & -last)) }
  },
  extendedKeyUsage: (...ids: string[]): TestExtension => ({
    id: '2.5.29.37',
    value: derSequence(...ids.map(derId)),
  }),
  subjectAltName: (critical = true): TestExtension => ({
    id: '2.5.29.17',
    critical,
    value: derSequence(der(0xa4, derName('id:00000000'))),
  }),
  nameConstraints: (critical = true): TestExtension => ({
    id: '2.5.29.30',
    critical,
    value: derSequence(der(0xa0, derSequence(der(0x82, Buffer.from('example.com'))))),
  }),
  certificatePolicies: (critical = true): TestExtension => ({
    id: '2.5.29.32',
    critical,
    value: derSequence(derSequence(derId('2.5.29.32.0'))),
  }),
}

/** Every part of a certificate. What is given as bytes is written as it is, be it DER or not. */
export interface CertificateParts {
  version: Uint8Array
  serialNumber: number
  innerAlgorithm: Uint8Array
  /** Common names, or Names. */
  issuer: string | Uint8Array
  notBefore: Uint8Array
  notAfter: Uint8Array
  subject: string | Uint8Array
  /** SubjectPublicKeyInfo. */
  spki: Uint8Array
  extensions: readonly (TestExtension | Uint8Array)[]
  /** Behind the parts of TBSCertificate, of Certificate, and of the whole. */
  tbsEnd: Uint8Array
  end: Uint8Array
  behind: Uint8Array
  signing: Signing
  signingKey: KeyObject
  /** Makes another signature of the right one. */
  changeSignature(signature: Buffer): Buffer
}

export type CertificateChanges = Partial<CertificateParts>

export function makeCertificate(
  needed: Pick<CertificateParts, 'issuer' | 'subject' | 'spki' | 'signing' | 'signingKey'> & CertificateChanges,
): Buffer {
  const empty = Buffer.alloc(0)
  const parts: CertificateParts = {
    version: derInteger(2),
    serialNumber: 1,
    innerAlgorithm: needed.signing.algorithm,
    notBefore: derTime(CERTIFICATE_NOT_BEFORE),
    notAfter: derTime(CERTIFICATE_NOT_AFTER),
    extensions: [testExtensions.basicConstraints(false)],
    tbsEnd: empty,
    end: empty,
    behind: empty,
    changeSignature: (signature) => signature,
    ...needed,
  }
  const tbs = derSequence(
    der(0xa0, parts.version),
    derInteger(parts.serialNumber),
    parts.innerAlgorithm,
    derName(parts.issuer),
    derSequence(parts.notBefore, parts.notAfter),
    derName(parts.subject),
    parts.spki,
    der(0xa3, derSequence(...parts.extensions.map(toExtension))),
    parts.tbsEnd,
  )
  const signature = parts.changeSignature(parts.signing.sign(tbs, parts.signingKey))
  const whole = derSequence(tbs, parts.signing.algorithm, derBits(signature), parts.end)
  return Buffer.concat([whole, parts.behind])
}

function toExtension(extension: TestExtension | Uint8Array): Uint8Array {
  if (extension instanceof Uint8Array) return extension
  const { id, critical = false, value } = extension
  return derSequence(derId(id), ...(critical ? [derBoolean(true)] : []), derOctets(value))
}

export const TEST_PURPOSE = '2.23.133.8.1'

export type PathPosition = 'root' | 'intermediate' | 'leaf'

/** A root, an intermediate and a leaf that is good for `TEST_PURPOSE` and key agreement, with changes to any of them. */
export function makePath(
  changes: Partial<Record<PathPosition, CertificateChanges>> & { kind?: KeyKind; leafKey?: KeyPair } = {},
) {
  const { kind = 'P-256', leafKey = testKeyPair(kind, 'leaf') } = changes
  const keys = { root: testKeyPair(kind, 'root'), intermediate: testKeyPair(kind, 'intermediate'), leaf: leafKey }
  const signing = signingOf(kind)
  const { basicConstraints, keyUsage, extendedKeyUsage } = testExtensions
  const authority = keyUsage('keyCertSign', 'crlSign')
  const root = makeCertificate({
    issuer: 'Test Root',
    subject: 'Test Root',
    spki: spkiOf(keys.root),
    signing,
    signingKey: keys.root.privateKey,
    extensions: [basicConstraints(true), authority],
    ...changes.root,
  })
  const intermediate = makeCertificate({
    issuer: 'Test Root',
    subject: 'Test Intermediate',
    spki: spkiOf(keys.intermediate),
    signing,
    signingKey: keys.root.privateKey,
    extensions: [basicConstraints(true, 0), authority],
    ...changes.intermediate,
  })
  const leaf = makeCertificate({
    issuer: 'Test Intermediate',
    subject: 'Test Leaf',
    spki: spkiOf(keys.leaf),
    signing,
    signingKey: keys.intermediate.privateKey,
    extensions: [basicConstraints(false), keyUsage('keyAgreement'), extendedKeyUsage(TEST_PURPOSE)],
    ...changes.leaf,
  })
  return { root, intermediate, leaf, keys }
}

/** The three of them, read. */
export function parsePath(path: Record<PathPosition, Uint8Array>): Record<PathPosition, ParsedCertificate> {
  return {
    root: parseCertificate(path.root),
    intermediate: parseCertificate(path.intermediate),
    leaf: parseCertificate(path.leaf),
  }
}
