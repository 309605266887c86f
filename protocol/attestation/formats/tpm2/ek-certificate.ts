import { malformedEvidence, refusedEvidence, type TrustAnchor } from '../../evidence-format.ts'
import { parseAnchors, type UsedAnchor, usedAnchors } from '../../x509/anchors.ts'
import { type DerElement, derChildren, derParts, derTags, parseDer } from '../../x509/der.ts'
import { extensionIds, type ParsedCertificate, parseCertificate } from '../../x509/parse-certificate.ts'
import { verifyPath } from '../../x509/verify-path.ts'
import { type EndorsementKey, toEndorsementKey } from './endorsement-key.ts'

/** Of the evidence and of a request for a credential: untrusted. */
export interface EkCertificates {
  leaf: ParsedCertificate
  chain: readonly ParsedCertificate[]
  tpm: TpmModel
}

/** What a manufacturer says of a TPM, such as `id:49465800`, `SLB9670` and `id:0007003d`; undefined where it does not say it. */
export type TpmModel = { manufacturer?: string; model?: string; version?: string }

export interface VerifiedEk {
  key: EndorsementKey
  tpm: TpmModel
  /** What of it an operator trusts: the root, and what the device did not bring along itself. */
  anchors: readonly UsedAnchor[]
  /** The first end of validity on the path, in milliseconds since the Unix epoch. */
  validUntil: number
}

/** tcg-kp-EKCertificate. */
const EK_PURPOSE = '2.23.133.8.1'

/** All in DER. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseEkCertificates(ekCertificate: Uint8Array, ekChain: readonly Uint8Array[]): EkCertificates {
  const leaf = parseCertificate(ekCertificate)
  const { subjectAltName } = leaf
  return {
    leaf,
    chain: ekChain.map(parseCertificate),
    tpm: subjectAltName === undefined ? {} : readTpmModel(subjectAltName),
  }
}

export function trustAnchorIdsOf({ leaf, chain }: EkCertificates): string[] {
  return [...new Set([leaf, ...chain].map(({ issuerId }) => issuerId))]
}

/** Every check of the certificate and of the key in it. Throws `evidence_refused`. */
export function verifyEkCertificate(
  { leaf, chain, tpm }: EkCertificates,
  anchors: readonly TrustAnchor[],
  now: number,
): VerifiedEk {
  const trusted = parseAnchors(anchors)
  const path = verifyPath({
    leaf,
    intermediates: [...chain, ...trusted.intermediates],
    roots: trusted.roots,
    now,
    check: 'tpm2.ek_path',
    leafExtendedKeyUsage: EK_PURPOSE,
    leafKeyUsage: leaf.publicKey.asymmetricKeyType === 'rsa' ? 'keyEncipherment' : 'keyAgreement',
    criticalLeafExtensions: [extensionIds.subjectAltName],
  })
  const key = toEndorsementKey(leaf.publicKey)
  if (tpm.manufacturer === undefined && leaf.criticalExtensions.includes(extensionIds.subjectAltName)) {
    throw refusedEvidence('tpm2.ek_names', 'The EK certificate has a critical name that is not that of a TPM.')
  }
  return {
    key,
    tpm,
    anchors: usedAnchors(trusted, path),
    validUntil: Math.min(...path.map(({ notAfter }) => notAfter)),
  }
}

/** GeneralName, directoryName: `[4] EXPLICIT Name`. */
const DIRECTORY_NAME = 0xa4
/** UTF8String, PrintableString. */
const textTags = [0x0c, 0x13]
/** STRMAX of the profile; without control characters, for it is stored and shown. */
const shortText = /^[^\p{C}]{1,256}$/u
/** 2.23.133.2.1 to .3 (TCG EK Credential Profile 2.6 §3.2.9), by their content in hex. */
const attributes: ReadonlyMap<string, keyof TpmModel> = new Map([
  ['6781050201', 'manufacturer'],
  ['6781050202', 'model'],
  ['6781050203', 'version'],
])

/** The attributes of a TPM in the first directory name, each in an RDN of its own or all in one. Throws `evidence_malformed`. */
function readTpmModel(subjectAltName: Uint8Array): TpmModel {
  const directory = parseDer(subjectAltName, derTags.sequence).children.find(({ tag }) => tag === DIRECTORY_NAME)
  if (directory === undefined) return {}
  const [name] = derChildren(directory, derTags.sequence)
  const model: TpmModel = {}
  for (const attribute of name.children.flatMap(({ children }) => children)) {
    const [id, value] = derParts(attribute, /^06 ..$/) as [DerElement, DerElement]
    const part = attributes.get(Buffer.from(id.content).toString('hex'))
    if (part === undefined) continue
    const text = Buffer.from(value.content).toString('utf8')
    if (!textTags.includes(value.tag) || !shortText.test(text)) {
      throw malformedEvidence('The name of a TPM is no text of at most 256 characters.')
    }
    model[part] = text
  }
  return model
}
