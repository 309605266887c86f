import type { Collateral, TrustAnchor } from '../../../protocol/attestation/evidence-format.ts'
import { parseCertificate } from '../../../protocol/attestation/x509/parse-certificate.ts'
import { crlIdOf } from '../../../protocol/attestation/x509/revocation.ts'
import { CRL_NEXT_UPDATE, CRL_THIS_UPDATE, type CrlParts, makeCrl } from '../crl.ts'
import { der, derId, derInteger, derOctets, derSequence } from '../der.ts'
import { type CertificateChanges, makeCertificate, testExtensions } from '../x509.ts'
import { signingOf, spkiOf, testKeyPair } from '../x509-signing.ts'

/** Root, PCK authority, PCK and TCB signer of our own, in the place of Intel's. */
export const tdxKeys = {
  root: testKeyPair('P-256', 'tdx root'),
  authority: testKeyPair('P-256', 'tdx authority'),
  pck: testKeyPair('P-256', 'tdx pck'),
  signer: testKeyPair('P-256', 'tdx signer'),
  attestation: testKeyPair('P-256', 'tdx attestation'),
}

export interface PlatformChanges {
  fmspc?: Uint8Array
  pceId?: Uint8Array
  /** Of 1 to 16 the components, 17 PCESVN. */
  svns?: Record<number, Uint8Array | undefined>
  /** By what follows the identifier of the extension. */
  parts?: Record<string, Uint8Array | undefined>
  /** Behind them. */
  end?: Uint8Array
}

const SGX = '1.2.840.113741.1.13.1'
export const TDX_FMSPC = '50806f000000'

export function sgxExtension(changes: PlatformChanges = {}): Buffer {
  const svns: Record<number, Uint8Array | undefined> = {
    ...Object.fromEntries(Array.from({ length: 16 }, (_, index) => [index + 1, derInteger(5)])),
    17: derInteger(11),
    18: derOctets(Buffer.alloc(16, 5)),
    ...changes.svns,
  }
  const toMembers = (prefix: string, members: Record<string, Uint8Array | undefined>) =>
    Object.entries(members).flatMap(([id, value]) =>
      value === undefined ? [] : [derSequence(derId(`${prefix}.${id}`), value)],
    )
  const parts = {
    1: derOctets(Buffer.alloc(16, 0x99)),
    2: derSequence(...toMembers(`${SGX}.2`, svns)),
    3: derOctets(changes.pceId ?? Buffer.alloc(2)),
    4: derOctets(changes.fmspc ?? Buffer.from(TDX_FMSPC, 'hex')),
    5: der(0x0a, Buffer.of(1)),
    ...changes.parts,
  }
  return derSequence(...toMembers(SGX, parts), changes.end ?? Buffer.alloc(0))
}

const { basicConstraints, keyUsage } = testExtensions
const signing = signingOf('P-256')
const authorityUse = keyUsage('keyCertSign', 'crlSign')

export function tdxRootCertificate(changes: CertificateChanges = {}): Buffer {
  return makeCertificate({
    issuer: 'TDX Root',
    subject: 'TDX Root',
    spki: spkiOf(tdxKeys.root),
    signing,
    signingKey: tdxKeys.root.privateKey,
    extensions: [basicConstraints(true, 1), authorityUse],
    ...changes,
  })
}

export function tdxAuthority(changes: CertificateChanges = {}): Buffer {
  return makeCertificate({
    issuer: 'TDX Root',
    subject: 'TDX Authority',
    spki: spkiOf(tdxKeys.authority),
    signing,
    signingKey: tdxKeys.root.privateKey,
    serialNumber: 22,
    extensions: [basicConstraints(true, 0), authorityUse],
    ...changes,
  })
}

export function pckCertificate(platform: PlatformChanges | null = {}, changes: CertificateChanges = {}): Buffer {
  return makeCertificate({
    issuer: 'TDX Authority',
    subject: 'TDX PCK',
    spki: spkiOf(tdxKeys.pck),
    signing,
    signingKey: tdxKeys.authority.privateKey,
    serialNumber: 33,
    extensions: [
      basicConstraints(false),
      keyUsage('digitalSignature', 'nonRepudiation'),
      ...(platform === null ? [] : [{ id: SGX, value: sgxExtension(platform) }]),
    ],
    ...changes,
  })
}

export function tcbSigner(changes: CertificateChanges = {}): Buffer {
  return makeCertificate({
    issuer: 'TDX Root',
    subject: 'Intel SGX TCB Signing',
    spki: spkiOf(tdxKeys.signer),
    signing,
    signingKey: tdxKeys.root.privateKey,
    serialNumber: 44,
    extensions: [basicConstraints(false), keyUsage('digitalSignature', 'nonRepudiation')],
    ...changes,
  })
}

export function tdxAnchor(der = tdxRootCertificate()): TrustAnchor {
  return { lookupId: parseCertificate(der).subjectId, kind: 'root', der }
}

/** The list of `TDX Root` or of `TDX Authority`. */
export function tdxCrl(issuer: 'root' | 'authority', changes: Partial<CrlParts> = {}): Collateral {
  const certificate = parseCertificate(issuer === 'root' ? tdxRootCertificate() : tdxAuthority())
  const body = makeCrl({
    issuer: issuer === 'root' ? 'TDX Root' : 'TDX Authority',
    signingKey: tdxKeys[issuer].privateKey,
    ...changes,
  })
  const lookupId = crlIdOf(certificate.subjectId)
  return { lookupId, kind: 'crl', issuedAt: CRL_THIS_UPDATE, nextUpdateAt: CRL_NEXT_UPDATE, body, chain: [] }
}
