import type { Collateral, ExpectedEvidence, TrustAnchor } from '../../../protocol/attestation/evidence-format.ts'
import { products } from '../../../protocol/attestation/formats/sev-snp/products.ts'
import { parseCertificate } from '../../../protocol/attestation/x509/parse-certificate.ts'
import { crlIdOf } from '../../../protocol/attestation/x509/revocation.ts'
import { type Json, toBase64url } from '../../../protocol/encoding.ts'
import { CRL_NEXT_UPDATE, CRL_THIS_UPDATE, type CrlParts, makeCrl } from '../crl.ts'
import { der, derInteger } from '../der.ts'
import {
  CERTIFICATE_NOW,
  type CertificateChanges,
  makeCertificate,
  type TestExtension,
  testExtensions,
} from '../x509.ts'
import { type KeyKind, signings, spkiOf, testKeyPair } from '../x509-signing.ts'
import { chipIdBytes, makeReport, type ReportOptions, sevSnpBinding, sevSnpTcb } from './report.ts'

export interface SevSnpOptions extends Partial<ReportOptions> {
  /** By the last numbers of their ids; undefined: without it. */
  extensions?: Record<string, Uint8Array | undefined>
  leaf?: CertificateChanges
  issuer?: CertificateChanges
  root?: CertificateChanges
  leafKind?: KeyKind
  /** RSA-2048, which is quicker to make, unless it says the RSA-4096 of AMD. */
  authorityKind?: KeyKind
  /** Where the certificate between key and root is. */
  issuerIn?: 'chain' | 'anchors'
}

export interface TestSevSnp {
  evidence: Record<string, Json>
  anchors: TrustAnchor[]
  expected: ExpectedEvidence
  certificates: Record<'leaf' | 'issuer' | 'root', Buffer>
}

export const derIa5 = (text: string) => der(0x16, Buffer.from(text))

/** As AMD's: RSASSA-PSS with SHA-384 above, a key of P-384 below; the serial number of a VCEK is 0. */
export function makeSevSnp(options: SevSnpOptions = {}): TestSevSnp {
  const { product = 'Milan', signingKey = 'vcek', version = 3, leafKind = 'P-384', issuerIn = 'chain' } = options
  const { authorityKind = 'RSA-2048' } = options
  const keys = {
    root: testKeyPair(authorityKind, 'ARK'),
    issuer: testKeyPair(authorityKind, 'ASK'),
    leaf: testKeyPair(leafKind, 'VEK'),
  }
  const isVcek = signingKey === 'vcek'
  const signing = signings['PSS with SHA-384 and the trailer']
  const names = { root: `ARK-${product}`, issuer: isVcek ? `SEV-${product}` : `SEV-VLEK-${product}` }
  const { basicConstraints, keyUsage } = testExtensions
  const root = makeCertificate({
    issuer: names.root,
    subject: names.root,
    spki: spkiOf(keys.root),
    signing,
    signingKey: keys.root.privateKey,
    extensions: [keyUsage('keyCertSign', 'crlSign'), basicConstraints(true)],
    ...options.root,
  })
  const issuer = makeCertificate({
    serialNumber: 0x10001,
    issuer: names.root,
    subject: names.issuer,
    spki: spkiOf(keys.issuer),
    signing,
    signingKey: keys.root.privateKey,
    extensions: [basicConstraints(true, 0), keyUsage('keyCertSign')],
    ...options.issuer,
  })
  const leaf = makeCertificate({
    serialNumber: isVcek ? 0 : 0x77,
    issuer: names.issuer,
    subject: isVcek ? 'SEV-VCEK' : 'SEV-VLEK',
    spki: spkiOf(keys.leaf),
    signing,
    signingKey: keys.issuer.privateKey,
    extensions: leafExtensions(options),
    ...options.leaf,
  })
  const nothing = () => {}
  const report = makeReport(
    { product, signingKey, version, change: nothing, forge: nothing, ...options },
    keys.leaf.privateKey,
  )
  const anchorOf = (kind: TrustAnchor['kind'], bytes: Uint8Array): TrustAnchor => ({
    lookupId: parseCertificate(bytes).subjectId,
    kind,
    der: bytes,
  })
  const inChain = issuerIn === 'chain'
  return {
    evidence: {
      format: 'sev-snp',
      report: toBase64url(report),
      vek: toBase64url(leaf),
      ...(inChain && { chain: [toBase64url(issuer)] }),
    },
    anchors: [anchorOf('root', root), ...(inChain ? [] : [anchorOf('intermediate', issuer)])],
    expected: {
      binding: sevSnpBinding,
      identityKey: Buffer.alloc(32),
      now: CERTIFICATE_NOW,
      attester: { kind: 'enrolling', activation: undefined },
    },
    certificates: { leaf, issuer, root },
  }
}

function leafExtensions(options: SevSnpOptions): TestExtension[] {
  const { product = 'Milan', signingKey = 'vcek', extensions = {} } = options
  const isVcek = signingKey === 'vcek'
  const { fmc = 0, bootloader = 0, tee = 0, snp = 0, microcode = 0 } = sevSnpTcb
  const values: Record<string, Uint8Array | undefined> = {
    1: derInteger(product === 'Turin' ? 1 : 0),
    2: derIa5(isVcek ? `${product}-B0` : product),
    3.1: derInteger(bootloader),
    3.2: derInteger(tee),
    3.3: derInteger(snp),
    3.8: derInteger(microcode),
    3.9: product === 'Turin' ? derInteger(fmc) : undefined,
    4: isVcek ? chipIdBytes(product).subarray(0, products[product].chipIdBytes) : undefined,
    5: isVcek ? undefined : derIa5('cc-us-east-2.cloud.example'),
    ...extensions,
  }
  return Object.entries(values).flatMap(([id, value]) =>
    value === undefined ? [] : [{ id: `1.3.6.1.4.1.3704.1.${id}`, value }],
  )
}

/** The list of the root, on which the certificates with these numbers stand. */
export function sevSnpCrl(
  { certificates }: TestSevSnp,
  revoked: number[],
  changes: Partial<CrlParts> = {},
): Collateral {
  const { subject, subjectId } = parseCertificate(certificates.root)
  return {
    lookupId: crlIdOf(subjectId),
    kind: 'crl',
    issuedAt: CRL_THIS_UPDATE,
    nextUpdateAt: CRL_NEXT_UPDATE,
    body: makeCrl({
      issuer: subject,
      revoked,
      signing: signings['PSS with SHA-384'],
      signingKey: testKeyPair('RSA-2048', 'ARK').privateKey,
      ...changes,
    }),
    chain: [],
  }
}
