import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { AsnParser } from '@peculiar/asn1-schema'
import { BasicConstraints, ExtendedKeyUsage, Extension, KeyUsage, type KeyUsageType } from '@peculiar/asn1-x509'
import { malformedEvidence } from '../evidence-format.ts'
import { type DerElement, derChildren, derParts, derTags, parseDer } from './der.ts'

export const MAX_CERTIFICATE_BYTES = 8192

/** A certificate that could be read. Nothing of it is verified. */
export interface ParsedCertificate {
  der: Uint8Array
  /** What is signed. */
  tbs: Uint8Array
  /** The bytes of its INTEGER in hexadecimal. */
  serialNumber: string
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

/** Of extensions and of purposes; a real certificate has a dozen of the former and a few of the latter. */
const MAX_MEMBERS = 32

/** There are nine bits, behind a byte that counts the unused ones. */
const MAX_KEY_USAGE_BYTES = 3

/** Version 3, in the one encoding that `[0] EXPLICIT INTEGER` has. */
const VERSION_3 = Buffer.from('a003020102', 'hex')

/**
 * An X.509 certificate of version 3 with extensions (RFC 5280 §4), at most 8 KiB of strict DER. Attacker-controlled input. Throws
 * `evidence_malformed` and nothing else.
 */
export function parseCertificate(der: Uint8Array): ParsedCertificate {
  if (der.length > MAX_CERTIFICATE_BYTES) throw malformedEvidence('A certificate is longer than 8 KiB.')
  const { sequence, bitString, integer } = derTags
  const [tbs, outerAlgorithm, signature] = derChildren(parseDer(der, sequence), sequence, sequence, bitString)
  const [version, serial, algorithm, issuer, validity, subject, spki, extensionList] = derChildren(
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
  derParts(issuer, /^31( 31)*$/)
  derParts(subject, /^(31( 31)*)?$/)
  const { extensions, criticalExtensions } = readExtensions(extensionList)
  return {
    der,
    tbs: tbs.der,
    serialNumber: Buffer.from(serial.content).toString('hex'),
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

/** `subject:<hex SHA-256 of the DER Name>`. */
export function nameId(name: DerElement): string {
  return `subject:${createHash('sha256').update(name.der).digest('hex')}`
}

export function wholeBytes({ content }: DerElement): Uint8Array {
  if (content[0] !== 0) throw malformedEvidence('A key or a signature does not consist of whole bytes.')
  return content.subarray(1)
}

function readExtensions(list: DerElement) {
  const extensions = new Map<string, Uint8Array>()
  const criticalExtensions: string[] = []
  const [sequence] = derChildren(list, derTags.sequence)
  if (sequence.children.length > MAX_MEMBERS) throw malformedEvidence('A certificate has far too many extensions.')
  for (const extension of derParts(sequence, /^30( 30)*$/)) {
    derParts(extension, /^06 (01 )?04$/)
    const { extnID, critical, extnValue } = readAs(extension, Extension)
    if (extensions.has(extnID)) throw malformedEvidence('A certificate has an extension twice.')
    extensions.set(extnID, new Uint8Array(extnValue.buffer))
    if (critical) criticalExtensions.push(extnID)
  }
  return { extensions, criticalExtensions }
}

/** The package leaves out of a structure what it does not expect: what has to be there, and nothing else, is looked at before. */
function readUses(extensions: ReadonlyMap<string, Uint8Array>) {
  const find = (id: string, tag: number) => {
    const value = extensions.get(id)
    return value && parseDer(value, tag)
  }
  const constraints = find(extensionIds.basicConstraints, derTags.sequence)
  const use = find(extensionIds.keyUsage, derTags.bitString)
  const purposes = find(extensionIds.extendedKeyUsage, derTags.sequence)
  if (constraints) derParts(constraints, /^(01( 02)?)?$/)
  if (purposes) derParts(purposes, /^06( 06)*$/)
  if (purposes && purposes.children.length > MAX_MEMBERS) {
    throw malformedEvidence('A certificate has far too many purposes.')
  }
  if (use && use.content.length > MAX_KEY_USAGE_BYTES) throw malformedEvidence('A certificate has far too many uses.')
  const { cA: isAuthority = false, pathLenConstraint: pathLength } = constraints
    ? readAs(constraints, BasicConstraints)
    : {}
  if (pathLength !== undefined && !(Number.isSafeInteger(pathLength) && pathLength >= 0)) {
    throw malformedEvidence('The path length of a certificate is no length.')
  }
  return {
    isAuthority,
    pathLength,
    keyUsage: use && readAs(use, KeyUsage).toJSON(),
    extendedKeyUsage: purposes && [...readAs(purposes, ExtendedKeyUsage)],
  }
}

/** What this package throws for bytes of another type are errors of many kinds. */
function readAs<Type>({ der }: DerElement, type: new () => Type): Type {
  try {
    return AsnParser.parse(der, type)
  } catch (cause) {
    throw malformedEvidence(`A certificate holds no ${type.name} where one belongs.`, { cause })
  }
}

function readValidity(validity: DerElement) {
  const [notBefore, notAfter] = derParts(validity, /^1[78] 1[78]$/) as [DerElement, DerElement]
  return { notBefore: readTime(notBefore), notAfter: readTime(notAfter) }
}

/** Milliseconds since the Unix epoch. UTCTime counts from 1950 to 2049 (RFC 5280 §4.1.2.5.1). */
export function readTime({ tag, content }: DerElement): number {
  const text = Buffer.from(content).toString('latin1')
  const century = text < '5' ? '20' : '19'
  const digits = tag === derTags.utcTime ? century + text : text
  const iso = digits.replace(/^(....)(..)(..)(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6.000Z')
  const time = Date.parse(iso)
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
  // OpenSSL takes the point at infinity (SEC 1 §2.3.3: one byte, 0), for which anybody can sign.
  if (EC_PUBLIC_KEY.equals(identifier.der) && wholeBytes(key).length <= 1) {
    throw malformedEvidence('A public key is the point at infinity.')
  }
  try {
    return RSA_OAEP.equals(identifier.der)
      ? createPublicKey({ key: Buffer.from(wholeBytes(key)), format: 'der', type: 'pkcs1' })
      : createPublicKey({ key: Buffer.from(spki.der), format: 'der', type: 'spki' })
  } catch (cause) {
    throw malformedEvidence('A certificate holds no public key that can be read.', { cause })
  }
}
