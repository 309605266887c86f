import type { KeyObject } from 'node:crypto'
import { refusedEvidence, type TrustAnchor } from '../../evidence-format.ts'
import { type ParsedCertificate, parseCertificate } from '../../x509/parse-certificate.ts'
import { isMlDsaKey } from '../../x509/signature-algorithms.ts'
import { verifyPath } from '../../x509/verify-path.ts'
import type { AuthorizationList } from './authorization-list.ts'
import { ATTESTATION_EXTENSION, type KeyDescription, parseKeyDescription } from './key-description.ts'
import { isOfStrongBox } from './strongbox.ts'

/** A chain that could be read, leaf first. Nothing of it is verified. */
export interface AttestedChain {
  leaf: ParsedCertificate
  above: readonly ParsedCertificate[]
  /** Of the leaf, where it has one. */
  description: KeyDescription | undefined
}

/** Attacker-controlled input. Throws `evidence_malformed`. */
export function parseChain(chain: readonly Uint8Array[]): AttestedChain {
  const [leaf, ...above] = chain.map(parseCertificate) as [ParsedCertificate, ...ParsedCertificate[]]
  const extension = leaf.extensions.get(ATTESTATION_EXTENSION)
  return { leaf, above, description: extension && parseKeyDescription(extension) }
}

/** What an organization trusts, read once for both chains. */
export interface ParsedAnchors {
  roots: readonly ParsedCertificate[]
  intermediates: readonly ParsedCertificate[]
}

export function parseAnchors(anchors: readonly TrustAnchor[]): ParsedAnchors {
  const ofKind = (wanted: TrustAnchor['kind']) =>
    anchors.filter(({ kind }) => kind === wanted).map(({ der }) => parseCertificate(der))
  return { roots: ofKind('root'), intermediates: ofKind('intermediate') }
}

/** What fails of a chain, by name. */
export interface ChainChecks {
  path: string
  extension: string
  attestedIssuer: string
  version: string
  algorithm: string
}

/** What a certified key says, and the serial numbers of all certificates that vouch for it. */
export interface AttestedKey {
  leaf: ParsedCertificate
  description: KeyDescription
  serialNumbers: readonly string[]
  /** Whether the certificates above the leaf are those of a StrongBox, whatever the description says. */
  isOfStrongBox: boolean
}

/** Keymaster 2 to 4.1, and KeyMint 1 to 5. */
const attestationVersions = [1, 2, 3, 4, 100, 200, 300, 400, 500]

/**
 * That a root vouches for the key in the leaf and for what is said of it: path, versions, and that the extension is nowhere but in the
 * leaf. Throws `evidence_refused`.
 */
export function verifyAttestedKey(
  { leaf, above, description }: AttestedChain,
  anchors: ParsedAnchors,
  now: number,
  checks: ChainChecks,
): AttestedKey {
  const path = verifyPath({
    leaf,
    intermediates: [...above, ...anchors.intermediates],
    roots: anchors.roots,
    now,
    check: checks.path,
    leafKeyUsage: 'digitalSignature',
    mlDsaLeaf: true,
    // A phone writes it, by a clock that may be wrong: from 1970 on, or from when the key was made.
    anyLeafValidity: true,
  })
  if (description === undefined) {
    throw refusedEvidence(checks.extension, 'The certificate of the key has no attestation extension.')
  }
  // An attested key may be made to certify others: what it says of them is not what the hardware says.
  if ([...path.slice(1), ...above].some(({ extensions }) => extensions.has(ATTESTATION_EXTENSION))) {
    throw refusedEvidence(
      checks.attestedIssuer,
      'The certificate of the key was made with a key that is attested itself.',
    )
  }
  if (!attestationVersions.includes(description.attestationVersion)) {
    throw refusedEvidence(checks.version, `The attestation is of version ${description.attestationVersion}.`)
  }
  if (!isOfAlgorithm(leaf.publicKey, keyListOf(description).algorithm)) {
    throw refusedEvidence(checks.algorithm, 'The key is of another algorithm than its attestation says.')
  }
  const serialNumbers = [...new Set([leaf, ...path, ...above].map((one) => one.serialNumber))]
  return { leaf, description, serialNumbers, isOfStrongBox: isOfStrongBox(path) }
}

/** The list of whatever holds the key: nothing in it is of another's saying. */
function keyListOf(description: KeyDescription): AuthorizationList {
  const { keyMintSecurityLevel, softwareEnforced, hardwareEnforced } = description
  return keyMintSecurityLevel === 'software' ? softwareEnforced : hardwareEnforced
}

/** Algorithm of KeyMint: 1 RSA, 3 EC, 4 ML-DSA. The path lets no other key through. */
function isOfAlgorithm(key: KeyObject, algorithm: number | undefined): boolean {
  if (isMlDsaKey(key)) return algorithm === 4
  return algorithm === (key.asymmetricKeyType === 'rsa' ? 1 : 3)
}
