import { createHash, type KeyObject, timingSafeEqual, verify } from 'node:crypto'
import { type Collateral, type ExpectedEvidence, refusedEvidence, type TrustAnchor } from '../../evidence-format.ts'
import { type ParsedCertificate, parseCertificate } from '../../x509/parse-certificate.ts'
import { crlIdOf, type RevocationStatus, revocationStatus } from '../../x509/revocation.ts'
import { verifyPath } from '../../x509/verify-path.ts'
import type { Platform } from './pck-certificate.ts'
import type { TdxQuote } from './quote.ts'
import { findStatement, qeIdentityId, tcbInfoIdOf } from './tcb-collateral.ts'
import { type PartTcb, type PlatformTcb, platformTcbOf, qeTcbOf } from './tcb-level.ts'
import type { TdReport } from './td-report.ts'

/** Of a statement of Intel that was found. */
type Statement = {
  issuedAt: number
  nextUpdateAt: number
  isCurrent: boolean
  evaluationNumber: number
}

/** What a quote says that is what it says it is. */
export interface TdxClaims {
  version: number
  report: TdReport
  platform: Platform
  qe: { mrSigner: string; isvProdId: number; isvSvn: number }
  /** Of the PCK certificate, and of the authorities above it but the root. */
  revocation: readonly RevocationStatus[]
  /** Undefined where nothing that Intel signed says anything. */
  qeIdentity: (Statement & { tcb: PartTcb }) | undefined
  tcbInfo: (Statement & { tcb: PlatformTcb }) | undefined
}

export function trustAnchorIdsOf({ certificates: { leaf, chain } }: TdxQuote): string[] {
  return [...new Set([leaf, ...chain].map(({ issuerId }) => issuerId))]
}

export function collateralIdsOf(quote: TdxQuote): string[] {
  const { fmspc } = quote.certificates.platform
  return [...trustAnchorIdsOf(quote).map(crlIdOf), tcbInfoIdOf(fmspc), qeIdentityId]
}

/** Every cryptographic check, in the order of docs/attestation-formats.md. Throws `evidence_refused`. */
export function verifyTdx(
  quote: TdxQuote,
  anchors: readonly TrustAnchor[],
  { binding, now }: ExpectedEvidence,
  collateral: readonly Collateral[],
): TdxClaims {
  const path = verifyPckPath(quote, anchors, now)
  verifyQuote(quote)
  const { report, certificates, qe, version } = quote
  if (!equals(report.reportData, Buffer.concat([binding, Buffer.alloc(32)]))) {
    throw refusedEvidence('tdx.report_data', 'The quote was made for another binding.')
  }
  if (!isZero(report.mrSignerSeam)) throw refusedEvidence('tdx.seam_signer', "The TDX module is not Intel's.")
  if (!isZero(report.seamAttributes)) {
    throw refusedEvidence('tdx.seam_attributes', 'The TDX module is not one for production.')
  }
  const { platform } = certificates
  const { mrSigner, isvProdId, isvSvn } = qe
  const given = { collateral, now, root: path.at(-1) as ParsedCertificate }
  const qeIdentity = toQeIdentity(quote, given)
  return {
    version,
    report,
    platform,
    qe: { mrSigner, isvProdId, isvSvn },
    revocation: path
      .slice(0, -1)
      .map((one, index) => revocationStatus(one, path[index + 1] as ParsedCertificate, collateral, now)),
    qeIdentity,
    tcbInfo: toTcbInfo(quote, given, qeIdentity?.tcb),
  }
}

type Given = Parameters<typeof findStatement>[2]

function toQeIdentity({ qe }: TdxQuote, given: Given): TdxClaims['qeIdentity'] {
  const found = findStatement('tdx-qe-identity', qeIdentityId, given)
  return found && { ...toStatement(found), tcb: qeTcbOf(qe, found.statement) }
}

/** One of another PCE says nothing of this platform. */
function toTcbInfo(
  { certificates: { platform }, report }: TdxQuote,
  given: Given,
  qe: PartTcb | undefined,
): TdxClaims['tcbInfo'] {
  const found = findStatement('tdx-tcb-info', tcbInfoIdOf(platform.fmspc), given)
  if (found === undefined || found.statement.pceId !== platform.pceId) return undefined
  return { ...toStatement(found), tcb: platformTcbOf(platform, report, found.statement, qe) }
}

function toStatement(found: {
  statement: { issueDate: number; nextUpdate: number; tcbEvaluationDataNumber: number }
  isCurrent: boolean
}): Statement {
  const { issueDate: issuedAt, nextUpdate: nextUpdateAt, tcbEvaluationDataNumber: evaluationNumber } = found.statement
  return { issuedAt, nextUpdateAt, isCurrent: found.isCurrent, evaluationNumber }
}

function verifyPckPath(
  { certificates: { leaf, chain } }: TdxQuote,
  anchors: readonly TrustAnchor[],
  now: number,
): readonly ParsedCertificate[] {
  const ofKind = (wanted: TrustAnchor['kind']) =>
    anchors.filter(({ kind }) => kind === wanted).map(({ der }) => parseCertificate(der))
  return verifyPath({
    leaf,
    intermediates: [...chain, ...ofKind('intermediate')],
    roots: ofKind('root'),
    now,
    check: 'tdx.pck_path',
    leafKeyUsage: 'digitalSignature',
  })
}

/** From the PCK to the report of the quoting enclave, from that to the attestation key, from that to the quote. */
function verifyQuote({ certificates, qe, qeSignature, qeAuthData, attestationKey, signed, signature }: TdxQuote): void {
  if (!isSigned(qe.bytes, certificates.leaf.publicKey, qeSignature)) {
    throw refusedEvidence('tdx.qe_signature', 'The quoting enclave is not vouched for by the PCK.')
  }
  const bound = createHash('sha256').update(attestationKey.bytes).update(qeAuthData).digest()
  if (!equals(qe.reportData, Buffer.concat([bound, Buffer.alloc(32)]))) {
    throw refusedEvidence('tdx.attestation_key', 'The attestation key is not that of the quoting enclave.')
  }
  if (!isSigned(signed, attestationKey.key, signature)) {
    throw refusedEvidence('tdx.signature', 'The quote is not signed by its attestation key.')
  }
}

function isSigned(bytes: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  return verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

function equals(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other)
}

function isZero(hex: string): boolean {
  return /^0*$/.test(hex)
}
