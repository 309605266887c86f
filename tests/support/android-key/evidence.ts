import type {
  Attester,
  Collateral,
  ExpectedEvidence,
  TrustAnchor,
} from '../../../protocol/attestation/evidence-format.ts'
import { parseCertificate } from '../../../protocol/attestation/x509/parse-certificate.ts'
import type { Json } from '../../../protocol/encoding.ts'
import { derId, derInteger, derSequence, derSet, derText, derTime } from '../der.ts'
import {
  CERTIFICATE_NOW,
  type CertificateChanges,
  makeCertificate,
  type TestExtension,
  testExtensions,
} from '../x509.ts'
import { type KeyKind, type KeyPair, signings, spkiOf, testKeyPair } from '../x509-signing.ts'
import {
  androidBinding,
  androidPackage,
  androidSigner,
  type DescriptionChanges,
  makeDescription,
} from './key-description.ts'

/** One fault at a time, with keys of our own. */
export interface ChainChanges {
  leafKey?: KeyPair
  description?: DescriptionChanges
  /** In place of the whole extension; `null` leaves it out. */
  extension?: Uint8Array | null
  root?: CertificateChanges
  intermediate?: CertificateChanges
  batch?: CertificateChanges
  leaf?: CertificateChanges
  /** Names of the authorities between root and leaf: common names, or Names. */
  names?: { batch?: string | Uint8Array; intermediate?: string | Uint8Array }
}

export const ANDROID_NOW = CERTIFICATE_NOW
const KEY_DESCRIPTION = '1.3.6.1.4.1.11129.2.1.17'
const { basicConstraints, keyUsage } = testExtensions
const authority = [basicConstraints(true), keyUsage('keyCertSign')]

export function attestationExtension(description?: DescriptionChanges): TestExtension {
  return { id: KEY_DESCRIPTION, value: makeDescription(description) }
}

/** Name with these attributes: `{ O: 'Google LLC', CN: 'Droid CA3' }`. */
export function androidName(attributes: Partial<Record<'CN' | 'O' | 'title', string>>): Uint8Array {
  const ids = { CN: '2.5.4.3', O: '2.5.4.10', title: '2.5.4.12' }
  return derSequence(
    ...Object.entries(attributes).map(([name, text]) =>
      derSet(derSequence(derId(ids[name as keyof typeof ids]), derText(text))),
    ),
  )
}

/** As the factory names them. */
export const strongBoxNames = {
  intermediate: androidName({ title: 'StrongBox' }),
  batch: androidName({ title: 'StrongBox', CN: 'batch' }),
}

export const androidLeafKey = () => testKeyPair('P-256', 'android leaf')

/** Leaf first, with the root: as a phone with a batch key of the factory hands it over. */
export function makeChain(changes: ChainChanges = {}): Buffer[] {
  const { leafKey = androidLeafKey(), description, extension, names } = changes
  const { batch: batchName = 'Batch', intermediate: intermediateName = 'Intermediate' } = names ?? {}
  const keys = {
    root: testKeyPair('P-384', 'android root'),
    intermediate: testKeyPair('P-384', 'android intermediate'),
  }
  const batch = testKeyPair('P-256', 'android batch')
  const p384 = signings['ECDSA with SHA-384']
  const p256 = signings['ECDSA with SHA-256']
  const attestation: TestExtension[] =
    extension === null
      ? []
      : [extension ? { id: KEY_DESCRIPTION, value: extension } : attestationExtension(description)]
  type Name = string | Uint8Array
  const certify = (issuer: Name, subject: Name, key: KeyPair, issuing: KeyPair, more: CertificateChanges) =>
    makeCertificate({
      issuer,
      subject,
      spki: spkiOf(key),
      signing: issuing === batch ? p256 : p384,
      signingKey: issuing.privateKey,
      extensions: authority,
      ...more,
    })
  return [
    certify(batchName, 'Android Keystore Key', leafKey, batch, {
      // As phones write it.
      notBefore: derTime(0),
      notAfter: derTime(Date.UTC(2048, 0, 1)),
      extensions: [keyUsage('digitalSignature'), ...attestation],
      ...changes.leaf,
    }),
    certify(intermediateName, batchName, batch, keys.intermediate, { serialNumber: 0xb_a7c4, ...changes.batch }),
    certify('Root', intermediateName, keys.intermediate, keys.root, { serialNumber: 0x1234, ...changes.intermediate }),
    certify('Root', 'Root', keys.root, keys.root, { serialNumber: 0x4007, ...changes.root }),
  ]
}

export function androidEvidence(chain: readonly Uint8Array[] = makeChain(), identityChain?: readonly Uint8Array[]) {
  const toText = (certificates: readonly Uint8Array[]) =>
    certificates.map((one) => Buffer.from(one).toString('base64url'))
  return {
    format: 'android-key',
    chain: toText(chain),
    ...(identityChain && { identityChain: toText(identityChain) }),
  }
}

export function androidRoot(chain: readonly Uint8Array[] = makeChain()): TrustAnchor {
  const der = chain.at(-1) as Uint8Array
  return { lookupId: parseCertificate(der).subjectId, kind: 'root', der }
}

export const enrollingAndroid: ExpectedEvidence = {
  binding: androidBinding,
  identityKey: new Uint8Array(1312),
  now: ANDROID_NOW,
  attester: { kind: 'enrolling', activation: undefined },
}

export function knownAndroid(
  attester: Attester | undefined,
  changes: Partial<ExpectedEvidence> = {},
): ExpectedEvidence {
  if (attester === undefined) throw new Error('There is no attester.')
  return { ...enrollingAndroid, attester: { kind: 'known', ...attester }, ...changes }
}

/** An identity key of ML-DSA in a phone, and the chain of its certificate. */
export function makeIdentity(changes: ChainChanges = {}, kind: KeyKind & `ML-DSA-${string}` = 'ML-DSA-65') {
  const key = testKeyPair(kind, 'android identity')
  const { description, ...more } = changes
  const hardware = { 2: derInteger(4), 3: undefined, 10: undefined, 11: derInteger(1), ...description?.hardware }
  const chain = makeChain({
    leafKey: key,
    description: { attestationVersion: 500, challenge: Buffer.from('made earlier'), ...description, hardware },
    ...more,
  })
  // Behind the algorithm identifier.
  return { chain, identityKey: new Uint8Array(spkiOf(key).subarray(22)) }
}

export function androidStatusList(
  entries: Json = {},
  { fetchedAt = ANDROID_NOW - 3_600_000, body = Buffer.from(JSON.stringify({ entries })) } = {},
): Collateral {
  return {
    lookupId: 'android-status-list:google',
    kind: 'android-status-list',
    issuedAt: fetchedAt,
    nextUpdateAt: undefined,
    body,
    chain: [],
  }
}

/** The reference value of the app of a chain that nobody changed. */
export const androidApp = { package: androidPackage, signers: [androidSigner.toString('hex')] } satisfies Json
