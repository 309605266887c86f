import { malformedEvidence } from '../evidence-format.ts'
import { derChildren, derParts, derTags, parseDer } from './der.ts'
import { nameId, readTime, wholeBytes } from './parse-certificate.ts'

/** A revocation list that could be read. Nothing of it is verified. */
export interface ParsedCrl {
  /** What is signed. */
  tbs: Uint8Array
  /** AlgorithmIdentifier in DER; the same inside and outside of what is signed. */
  signatureAlgorithm: Uint8Array
  signature: Uint8Array
  /** `subject:<hex SHA-256 of the DER Name>`. */
  issuerId: string
  /** Milliseconds since the Unix epoch. */
  thisUpdate: number
  nextUpdate: number
  /** Of every revoked certificate the bytes of its INTEGER in hexadecimal. */
  serialNumbers: ReadonlySet<string>
}

const VERSION_2 = Buffer.from('020101', 'hex')
const CRITICAL = Buffer.from('0101ff', 'hex')

/**
 * A complete revocation list of version 2 (RFC 5280 §5) in strict DER, which says when the next one comes. One with a critical
 * extension is refused: it is one of a part of the certificates, of changes alone, or of another issuer. Untrusted. Throws
 * `evidence_malformed`.
 */
export function parseCrl(der: Uint8Array): ParsedCrl {
  const { sequence, bitString } = derTags
  const [tbs, outerAlgorithm, signature] = derChildren(parseDer(der, sequence), sequence, sequence, bitString)
  // version, signature, issuer, thisUpdate, nextUpdate, revokedCertificates, crlExtensions
  const parts = derParts(tbs, /^02 30 30 1[78] 1[78]( 30)?( a0)?$/)
  const [version, algorithm, issuer, thisUpdate, nextUpdate] = parts as [Part, Part, Part, Part, Part]
  const revoked = parts.slice(5).find(({ tag }) => tag === sequence)
  const extensions = parts.slice(5).find(({ tag }) => tag !== sequence)
  if (!VERSION_2.equals(version.der)) throw malformedEvidence('A revocation list is not of version 2.')
  if (!Buffer.from(algorithm.der).equals(outerAlgorithm.der)) {
    throw malformedEvidence(
      'A revocation list names one signature algorithm inside of what is signed and another outside.',
    )
  }
  derParts(issuer, /^31( 31)*$/)
  if (extensions) refuseCritical(derChildren(extensions, sequence)[0])
  return {
    tbs: tbs.der,
    signatureAlgorithm: algorithm.der,
    signature: wholeBytes(signature),
    issuerId: nameId(issuer),
    thisUpdate: readTime(thisUpdate),
    nextUpdate: readTime(nextUpdate),
    serialNumbers: new Set(revoked?.children.map(readEntry)),
  }
}

type Part = ReturnType<typeof parseDer>

function readEntry(entry: Part): string {
  const [serial, date, extensions] = derParts(entry, /^02 1[78]( 30)?$/) as [Part, Part, Part | undefined]
  readTime(date)
  if (extensions) refuseCritical(extensions)
  return Buffer.from(serial.content).toString('hex')
}

function refuseCritical(extensions: Part): void {
  for (const extension of derParts(extensions, /^30( 30)*$/)) {
    const [, second] = derParts(extension, /^06 (01 )?04$/) as [Part, Part]
    if (CRITICAL.equals(second.der)) throw malformedEvidence('A revocation list has a critical extension.')
  }
}
