import { timingSafeEqual, verify } from 'node:crypto'
import { type Collateral, type ExpectedEvidence, refusedEvidence, type TrustAnchor } from '../../evidence-format.ts'
import { type ParsedCertificate, parseCertificate } from '../../x509/parse-certificate.ts'
import { type RevocationStatus, revocationStatus } from '../../x509/revocation.ts'
import { verifyPath } from '../../x509/verify-path.ts'
import { commonNameOf, type EndorsementKey } from './endorsement-key.ts'
import { fromTcb, isOfProduct, type ProductName, type Tcb, toTcb } from './products.ts'
import type { Report, ReportFacts } from './report.ts'

/** Evidence that could be read. Nothing of it is verified. */
export interface SevSnpEvidence {
  report: Report
  key: EndorsementKey
  chain: readonly ParsedCertificate[]
}

export const signingKeys = ['vcek', 'vlek'] as const
export type SigningKey = (typeof signingKeys)[number]

export interface SevSnpClaims extends ReportFacts {
  product: ProductName
  productName: string
  signingKey: SigningKey
  provider: string | undefined
  /** As the certificate of a VCEK has it; with a VLEK, what the report says. Undefined where nothing does. */
  chipId: string | undefined
  tcb: Record<keyof Report['tcb'], Tcb>
  revocation: RevocationStatus
  /** The first end of validity on the path, in milliseconds since the Unix epoch. */
  certificatesValidUntil: number
}

/** ECDSA with P-384 and SHA-384, the only one there is (ABI 56860, revision 1.58, table 139). */
const ECDSA_P384_SHA384 = 1

/** Every check, in the order of docs/attestation-formats.md. Throws `evidence_refused`. */
export function verifySevSnp(
  { report, key, chain }: SevSnpEvidence,
  anchors: readonly TrustAnchor[],
  { binding, now }: ExpectedEvidence,
  collateral: readonly Collateral[],
): SevSnpClaims {
  if (report.signatureAlgorithm !== ECDSA_P384_SHA384) {
    throw refusedEvidence('sev-snp.algorithm', `Signatures of algorithm ${report.signatureAlgorithm} are not taken.`)
  }
  const signingKey = signingKeys[report.signingKey]
  if (signingKey === undefined) {
    throw refusedEvidence('sev-snp.signing_key', `A report signed by key ${report.signingKey} is not taken.`)
  }
  const path = verifyKeyPath(key, chain, anchors, now)
  verifyNames(key, signingKey, path)
  verifySignature(report, key)
  verifyChip(report, key)
  if (!timingSafeEqual(report.reportData, Buffer.concat([binding, Buffer.alloc(64 - binding.length)]))) {
    throw refusedEvidence('sev-snp.report_data', 'The report carries other data than it was asked for with.')
  }
  return toClaims({ report, key, chain }, signingKey, path, revocationOf(signingKey, path, collateral, now))
}

type KeyPath = readonly [leaf: ParsedCertificate, issuer: ParsedCertificate, root: ParsedCertificate]

/** VCEK, ASK, ARK; or VLEK, ASVK, ARK. */
function verifyKeyPath(
  { certificate }: EndorsementKey,
  chain: readonly ParsedCertificate[],
  anchors: readonly TrustAnchor[],
  now: number,
): KeyPath {
  const ofKind = (wanted: TrustAnchor['kind']) =>
    anchors.filter(({ kind }) => kind === wanted).map(({ der }) => parseCertificate(der))
  const path = verifyPath({
    leaf: certificate,
    intermediates: [...chain, ...ofKind('intermediate')],
    roots: ofKind('root'),
    now,
    check: 'sev-snp.path',
  })
  if (path.length !== 3) {
    throw refusedEvidence('sev-snp.path_length', `There are ${path.length} certificates from key to root, not 3.`)
  }
  return path as unknown as KeyPath
}

/** One root certifies both kinds of keys; what they are, and of which product, is in names and extensions. */
function verifyNames({ product, chipId, provider }: EndorsementKey, signingKey: SigningKey, path: KeyPath): void {
  const [leaf, issuer, root] = path
  const isVcek = signingKey === 'vcek'
  if ((chipId !== undefined) !== isVcek || (provider !== undefined) === isVcek) {
    throw refusedEvidence('sev-snp.key_kind', `The certificate is not one of a ${signingKey.toUpperCase()}.`)
  }
  const found = [leaf, issuer, root].map(({ subject }) => commonNameOf(subject))
  const wanted = [`SEV-${signingKey.toUpperCase()}`, `SEV-${isVcek ? '' : 'VLEK-'}${product}`, `ARK-${product}`]
  const wrong = wanted.find((name, index) => found[index] !== name)
  if (wrong !== undefined) throw refusedEvidence('sev-snp.names', `There is no ${wrong} where one belongs on the path.`)
}

function verifySignature({ signed, signature }: Report, { certificate: { publicKey: key } }: EndorsementKey): void {
  if (key.asymmetricKeyDetails?.namedCurve !== 'secp384r1') {
    throw refusedEvidence('sev-snp.key', 'The key is not one of P-384.')
  }
  if (!verify('sha384', signed, { key, dsaEncoding: 'ieee-p1363' }, signature)) {
    throw refusedEvidence('sev-snp.signature', 'The report is not signed by the key.')
  }
}

/** The key is derived from the chip and from the reported TCB: what AMD certifies of both has to be what the report says. */
function verifyChip({ facts: { cpu }, tcb, chipId }: Report, key: EndorsementKey): void {
  if (cpu !== undefined && !isOfProduct(key.product, cpu)) {
    throw refusedEvidence('sev-snp.product', `The report is of another processor than ${key.productName}.`)
  }
  if (!Buffer.from(tcb.reported).equals(fromTcb(key.product, key.tcb))) {
    throw refusedEvidence('sev-snp.tcb', 'The reported TCB is another one than that of the key.')
  }
  // A host may mask the id; the signature has said by then which chip it is.
  if (chipId === undefined || key.chipId === undefined) return
  const certified = Buffer.alloc(chipId.length)
  certified.set(key.chipId)
  if (!certified.equals(chipId)) throw refusedEvidence('sev-snp.chip_id', 'The report is of another chip than the key.')
}

const worstFirst = ['revoked', 'unknown', 'stale', 'good'] as const satisfies readonly RevocationStatus[]

/** An ASVK may not sign lists: what is revoked of VLEKs can only be in the list of the root, too. Of VCEKs none is ever published. */
function revocationOf(
  signingKey: SigningKey,
  [leaf, issuer, root]: KeyPath,
  collateral: readonly Collateral[],
  now: number,
): RevocationStatus {
  const looked = signingKey === 'vlek' ? [leaf, issuer] : [issuer]
  const found = looked.map((one) => revocationStatus(one, root, collateral, now))
  return worstFirst.find((status) => found.includes(status)) as RevocationStatus
}

function toClaims(
  { report: { facts, tcb, chipId: reportedChipId }, key }: SevSnpEvidence,
  signingKey: SigningKey,
  path: KeyPath,
  revocation: RevocationStatus,
): SevSnpClaims {
  const { product, productName, provider, chipId = reportedChipId } = key
  return {
    ...facts,
    product,
    productName,
    signingKey,
    provider,
    chipId: chipId && Buffer.from(chipId).toString('hex'),
    tcb: {
      reported: toTcb(product, tcb.reported),
      committed: toTcb(product, tcb.committed),
      current: toTcb(product, tcb.current),
      launch: toTcb(product, tcb.launch),
    },
    revocation,
    certificatesValidUntil: Math.min(...path.map(({ notAfter }) => notAfter)),
  }
}
