import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { AsnParser } from '@peculiar/asn1-schema'
import { BasicConstraints, ExtendedKeyUsage, Extension, KeyUsage, type KeyUsageType } from '@peculiar/asn1-x509'
import { malformedEvidence } from '../evidence-format.ts'
import { type DerElement, derChildren, derTags, parseDer } from './der.ts'

export const MAX_CERTIFICATE_BYTES = 8192

/** A certificate that could be read. Nothing of it is verified. */
export interface ParsedCertificate {
  der: Uint8Array
  /** What is signed. */
  tbs: Uint8Array
  /** AlgorithmIdentifier in DER; the same inside and outside of what is signed. */
  signatureAlgorithm: Uint8Array
  signature: Uint8Array
  /** Name in DER. May be empty where a subjectAltName says who it is. */
  subject: Uint8Array
  issuer: Uint8Array
  /** How trust anchors are looked up: `subject:<hex SHA-256 of the DER Name>`. */
  subjectId: string
  /** The same, of the issuer's name. */
  issuerId: string
  /** SubjectPublicKeyInfo in DER. */
  spki: Uint8Array
  /** Of any kind that OpenSSL knows, however weak. */
  publicKey: KeyObject
  /** Milliseconds since the Unix epoch; valid in both and between. */
  notBefore: number
  notAfter: number
  isAuthority: boolean
  pathLength: number | undefined
  keyUsage: readonly KeyUsageType[] | undefined
  extendedKeyUsage: readonly string[] | undefined
  /** Of the extensions that say so, by OID. */
  criticalExtensions: readonly string[]
  /** The values of all extensions by OID: the content of their OCTET STRINGs. */
  extensions: ReadonlyMap<string, Uint8Array>
  /** GeneralNames in DER. */
  subjectAltName: Uint8Array | undefined
}

export const extensionIds = {
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  extendedKeyUsage: '2.5.29.37',
} as const

/** Version 3, in the one encoding that `[0] EXPLICIT INTEGER` has. */
const VERSION_3 = Buffer.from('a003020102', 'hex')

/**
 * An X.509 certificate of version 3 with extensions (RFC 5280 §4), at most 8 KiB of strict DER. Attacker-controlled input. Throws
 * `evidence_malformed` and nothing else.
 */
export function parseCertificate(der: Uint8Array): ParsedCertificate {
  if (der.length > MAX_CERTIFICATE_BYTES) throw malformedEvidence('A certificate is longer than 8 KiB.')
  const { sequence, bitString, integer } = derTags
  const [tbs, outerAlgorithm, signature] = derChildren(parseDer(der), sequence, sequence, bitString)
  const [version, , algorithm, issuer, validity, subject, spki, extensionList] = derChildren(
    tbs,
    0xa0,
    integer,
    sequence,
    sequence,
    sequence,
    sequence,
    sequence,
    0xa3,
  )
  if (!VERSION_3.equals(version.der)) throw malformedEvidence('A certificate is not of version 3.')
  if (!Buffer.from(algorithm.der).equals(outerAlgorithm.der)) {
    throw malformedEvidence('A certificate names one signature algorithm inside of what is signed and another outside.')
  }
  if (issuer.children.length === 0) throw malformedEvidence('A certificate names no issuer.')
  const { extensions, criticalExtensions } = readExtensions(extensionList)
  return {
    der,
    tbs: tbs.der,
    signatureAlgorithm: algorithm.der,
    signature: wholeBytes(signature),
    subject: subject.der,
    issuer: issuer.der,
    subjectId: nameId(subject),
    issuerId: nameId(issuer),
    spki: spki.der,
    publicKey: readPublicKey(spki),
    ...readValidity(validity),
    ...readUses(extensions),
    criticalExtensions,
    extensions,
    subjectAltName: extensions.get(extensionIds.subjectAltName),
  }
}

function nameId(name: DerElement): string {
  return `subject:${createHash('sha256').update(name.der).digest('hex')}`
}

function wholeBytes({ content }: DerElement): Uint8Array {
  if (content[0] !== 0) throw malformedEvidence('A key or a signature does not consist of whole bytes.')
  return content.subarray(1)
}

function readExtensions(list: DerElement) {
  const extensions = new Map<string, Uint8Array>()
  const criticalExtensions: string[] = []
  const [sequence] = derChildren(list, derTags.sequence)
  for (const { der } of sequence.children) {
    const { extnID, critical, extnValue } = readAs(der, Extension)
    if (extensions.has(extnID)) throw malformedEvidence('A certificate has an extension twice.')
    extensions.set(extnID, new Uint8Array(extnValue.buffer))
    if (critical) criticalExtensions.push(extnID)
  }
  return { extensions, criticalExtensions }
}

function readUses(extensions: ReadonlyMap<string, Uint8Array>) {
  const read = <Type>(id: string, type: new () => Type) => {
    const value = extensions.get(id)
    if (value === undefined) return undefined
    parseDer(value)
    return readAs(value, type)
  }
  const { cA = false, pathLenConstraint: pathLength } = read(extensionIds.basicConstraints, BasicConstraints) ?? {}
  if (pathLength !== undefined && !(Number.isSafeInteger(pathLength) && pathLength >= 0)) {
    throw malformedEvidence('The path length of a certificate is no length.')
  }
  const extendedKeyUsage = read(extensionIds.extendedKeyUsage, ExtendedKeyUsage)
  return {
    isAuthority: cA,
    pathLength,
    keyUsage: read(extensionIds.keyUsage, KeyUsage)?.toJSON(),
    extendedKeyUsage: extendedKeyUsage && [...extendedKeyUsage],
  }
}

/** What this package throws for bytes of another type are errors of many kinds. */
function readAs<Type>(der: Uint8Array, type: new () => Type): Type {
  try {
    return AsnParser.parse(der, type)
  } catch (cause) {
    throw malformedEvidence(`A certificate holds no ${type.name} where one belongs.`, { cause })
  }
}

function readValidity({ children: [notBefore, notAfter, ...more] }: DerElement) {
  if (notBefore === undefined || notAfter === undefined || more.length > 0) {
    throw malformedEvidence('A certificate does not say from when to when it is valid.')
  }
  return { notBefore: readTime(notBefore), notAfter: readTime(notAfter) }
}

/** UTCTime counts from 1950 to 2049 (RFC 5280 §4.1.2.5.1). */
function readTime({ tag, content }: DerElement): number {
  const text = Buffer.from(content).toString('latin1')
  const century = text < '5' ? '20' : '19'
  const digits = tag === derTags.utcTime ? century + text : text
  const iso = digits.replace(/^(....)(..)(..)(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6.000Z')
  const time = tag === derTags.utcTime || tag === derTags.generalizedTime ? Date.parse(iso) : Number.NaN
  // Date.parse takes 30 February for 1 March.
  if (Number.isNaN(time) || new Date(time).toISOString() !== iso)
    throw malformedEvidence('A certificate holds no time.')
  return time
}

/** id-ecPublicKey: a curve by name only, never by parameters of its own. */
const EC_PUBLIC_KEY = Buffer.from('06072a8648ce3d0201', 'hex')
/** id-RSAES-OAEP, which older TPMs give their keys and OpenSSL does not take. */
const RSA_OAEP = Buffer.from('06092a864886f70d010107', 'hex')

function readPublicKey(spki: DerElement): KeyObject {
  const [algorithm, key] = derChildren(spki, derTags.sequence, derTags.bitString)
  const [identifier, parameters] = algorithm.children
  if (identifier === undefined) throw malformedEvidence('A public key names no algorithm.')
  if (EC_PUBLIC_KEY.equals(identifier.der) && parameters?.tag !== derTags.objectIdentifier) {
    throw malformedEvidence('A public key names no curve.')
  }
  try {
    return RSA_OAEP.equals(identifier.der)
      ? createPublicKey({ key: Buffer.from(wholeBytes(key)), format: 'der', type: 'pkcs1' })
      : createPublicKey({ key: Buffer.from(spki.der), format: 'der', type: 'spki' })
  } catch (cause) {
    throw malformedEvidence('A certificate holds no public key that can be read.', { cause })
  }
}
