import { verify, type X509Certificate } from 'node:crypto'
import { parseReport, REPORT_BYTES, type Report } from '../../protocol/attestation/formats/sev-snp/report.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import type { EvidenceJson } from '../attester.ts'
import { QflareError } from '../errors.ts'
import { describeMissing } from './amd-key-distribution.ts'
import { parseCertificateTable, readCertificateFiles } from './certificates.ts'
import type { TsmReport } from './read-report.ts'

/** Of docs/attestation-formats.md. */
const MAX_CHAIN = 4

/**
 * The report with the certificate of the key that signed it, from the host or from files, and those above it that are there. Throws
 * `certificates_missing`, and `report_unavailable` for a report that this version does not know.
 */
export async function toSevSnpEvidence(
  { outblob, auxblob }: TsmReport,
  certificateFiles: readonly string[],
): Promise<EvidenceJson> {
  const report = toReport(outblob)
  const ofHost = parseCertificateTable(auxblob)
  const found = findChain(report, ofHost)
  // Files are looked at where the host leaves something out: one that gives the key alone leaves the organization without the rest.
  const { key, above } =
    found !== undefined && found.above.length > 0
      ? found
      : ((await findInFiles(report, ofHost, certificateFiles)) ?? found ?? missing(report, ofHost, certificateFiles))
  return {
    format: 'sev-snp',
    report: toBase64url(outblob),
    vek: toBase64url(key.raw),
    ...(above.length === 0 ? {} : { chain: above.map(({ raw }) => toBase64url(raw)) }),
  }
}

export function toReport(outblob: Uint8Array): Report {
  try {
    if (outblob.length !== REPORT_BYTES) throw new Error(`${outblob.length} bytes, not ${REPORT_BYTES}`)
    return parseReport(outblob)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new QflareError('report_unavailable', `The report cannot be read: ${reason}`, { cause })
  }
}

interface Chain {
  key: X509Certificate
  /** Without the root, which the server has. */
  above: X509Certificate[]
}

async function findInFiles(
  report: Report,
  ofHost: readonly X509Certificate[],
  paths: readonly string[],
): Promise<Chain | undefined> {
  return paths.length === 0 ? undefined : findChain(report, [...ofHost, ...(await readCertificateFiles(paths))])
}

/** A key changes with the firmware of its chip: the one that signed this very report is meant. */
function findChain(report: Report, certificates: readonly X509Certificate[]): Chain | undefined {
  const key = certificates.find((certificate) => isSignedBy(report, certificate))
  if (key === undefined) return undefined
  const above: X509Certificate[] = []
  for (let last = key; above.length < MAX_CHAIN; ) {
    const issuer = certificates.find(
      (one) => one.subject !== one.issuer && !above.includes(one) && last.checkIssued(one),
    )
    if (issuer === undefined) break
    above.push(issuer)
    last = issuer
  }
  return { key, above }
}

function isSignedBy({ signed, signature }: Report, { publicKey: key }: X509Certificate): boolean {
  return (
    key.asymmetricKeyDetails?.namedCurve === 'secp384r1' &&
    verify('sha384', signed, { key, dsaEncoding: 'ieee-p1363' }, signature)
  )
}

function missing(report: Report, ofHost: readonly X509Certificate[], paths: readonly string[]): never {
  const host =
    ofHost.length === 0
      ? 'The host gives no certificates'
      : 'The host gives no certificate of the key that signed the report'
  const files = paths.length === 0 ? '' : `, nor is it in ${paths.join(', ')}`
  throw new QflareError('certificates_missing', `${host}${files}. ${describeMissing(report)}`)
}
