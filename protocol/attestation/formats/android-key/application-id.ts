import { malformedEvidence } from '../../evidence-format.ts'
import { type DerElement, derChildren, derTags, parseDer } from '../../x509/der.ts'
import { readNumber } from './values.ts'

/** Who may use the key: the packages that share its user id, and who signed them. */
export type ApplicationId = {
  packages: { name: string; version: number }[]
  /** SHA-256 of their signing certificates, in hex. */
  signers: string[]
}

/** Of all of it: Android makes none that is longer. */
const MAX_APPLICATION_ID_BYTES = 1024
const DIGEST_BYTES = 32
/** Of a Java package, and what the system calls itself. */
const packageName = /^[\x21-\x7e]{1,255}$/

/** AttestationApplicationId in DER. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseApplicationId(der: Uint8Array): ApplicationId {
  if (der.length > MAX_APPLICATION_ID_BYTES) throw malformedEvidence('An application id is longer than 1024 bytes.')
  const { sequence, set } = derTags
  const [packages, signers] = derChildren(parseDer(der, sequence), set, set)
  if (packages.children.length === 0) throw malformedEvidence('An application id names no package.')
  return { packages: packages.children.map(readPackage), signers: signers.children.map(readDigest) }
}

function readPackage(element: DerElement) {
  if (element.tag !== derTags.sequence) throw malformedEvidence('A package of an application id is none.')
  const [name, version] = derChildren(element, derTags.octetString, derTags.integer)
  const text = Buffer.from(name.content).toString('latin1')
  if (!packageName.test(text)) throw malformedEvidence('The name of a package is none.')
  return { name: text, version: readNumber(version) }
}

function readDigest({ tag, content }: DerElement): string {
  if (tag !== derTags.octetString || content.length !== DIGEST_BYTES) {
    throw malformedEvidence('The digest of a signer is none of SHA-256.')
  }
  return Buffer.from(content).toString('hex')
}
