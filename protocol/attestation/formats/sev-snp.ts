import { z } from 'zod'
import type { Json } from '../../encoding.ts'
import { bytes, bytesWithin } from '../../wire.ts'
import { defineEvidenceFormat, malformedEvidence } from '../evidence-format.ts'
import { MAX_CERTIFICATE_BYTES, parseCertificate } from '../x509/parse-certificate.ts'
import { crlIdOf } from '../x509/revocation.ts'
import { appraiseSevSnp } from './sev-snp/appraise.ts'
import { parseEndorsementKey } from './sev-snp/endorsement-key.ts'
import { parseReport, REPORT_BYTES } from './sev-snp/report.ts'
import { sevSnpReference, sevSnpRules } from './sev-snp/rules.ts'
import { type SevSnpClaims, type SevSnpEvidence, verifySevSnp } from './sev-snp/verify.ts'

const MAX_CHAIN = 4

const certificate = bytesWithin(1, MAX_CERTIFICATE_BYTES)
const evidenceSevSnp = z.strictObject({
  format: z.literal('sev-snp'),
  report: bytes(REPORT_BYTES),
  vek: certificate,
  // Counted before anything in it is looked at.
  chain: z.array(z.unknown()).max(MAX_CHAIN).pipe(z.array(certificate)).default([]),
})

/**
 * Of a confidential virtual machine on a processor of AMD: the report of SEV-SNP, by a key that AMD certifies for that chip (VCEK) or for
 * the cloud that runs it (VLEK). There is no attester: nothing of a guest outlives it, and a chip runs many.
 */
export const sevSnp = defineEvidenceFormat({
  name: 'sev-snp',
  rules: sevSnpRules,
  referenceValue: sevSnpReference,
  parseEvidence,
  trustAnchorIds: issuersOf,
  // Lists are those of the root: whoever issued the key may not sign any.
  collateralIds: (evidence) => issuersOf(evidence).slice(1).map(crlIdOf),
  extractClaims: verifySevSnp,
  attesterOf: () => undefined,
  claimsToJson,
  appraise: appraiseSevSnp,
})

function parseEvidence(evidence: Record<string, Json>): SevSnpEvidence {
  const { data } = evidenceSevSnp.safeParse(evidence)
  if (data === undefined) {
    throw malformedEvidence(
      `Evidence has a report of ${REPORT_BYTES} bytes, the certificate of its key and at most ${MAX_CHAIN} others.`,
    )
  }
  return {
    report: parseReport(data.report),
    key: parseEndorsementKey(data.vek),
    chain: data.chain.map(parseCertificate),
  }
}

function issuersOf({ key, chain }: SevSnpEvidence): string[] {
  return [...new Set([key.certificate, ...chain].map(({ issuerId }) => issuerId))]
}

/** What is undefined has no place in JSON. */
function claimsToJson(claims: SevSnpClaims): Json {
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined)) as Json
}
