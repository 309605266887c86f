import { z } from 'zod'
import type { Json } from '../../encoding.ts'
import { bytesWithin } from '../../wire.ts'
import { defineEvidenceFormat, malformedEvidence } from '../evidence-format.ts'
import { appraiseTdx } from './tdx/appraise.ts'
import { MAX_QUOTE_BYTES, parseQuote } from './tdx/quote.ts'
import { tdxReference, tdxRules } from './tdx/rules.ts'
import { collateralIdsOf, type TdxClaims, trustAnchorIdsOf, verifyTdx } from './tdx/verify.ts'

const evidenceTdx = z.strictObject({ format: z.literal('tdx'), quote: bytesWithin(1, MAX_QUOTE_BYTES) })

/**
 * Of a trust domain of Intel TDX: a DCAP quote, by a quoting enclave that the platform's PCK vouches for. A trust domain has no
 * identity of its own that lasts: there is no attester.
 */
export const tdx = defineEvidenceFormat({
  name: 'tdx',
  rules: tdxRules,
  referenceValue: tdxReference,
  parseEvidence(evidence) {
    const { data } = evidenceTdx.safeParse(evidence)
    if (data === undefined)
      throw malformedEvidence(`A quote has at most ${MAX_QUOTE_BYTES} bytes, and nothing beside it.`)
    return parseQuote(data.quote)
  },
  trustAnchorIds: trustAnchorIdsOf,
  collateralIds: collateralIdsOf,
  extractClaims: verifyTdx,
  attesterOf: () => undefined,
  claimsToJson,
  appraise: appraiseTdx,
})

function claimsToJson({ report, platform, qe, version, revocation, qeIdentity, tcbInfo }: TdxClaims): Json {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  const { teeTcbSvn, teeTcbSvn2, mrServiceTd, mrSeam, tdAttributes, xfam, registers } = report
  return {
    version,
    module: { svn: hex(teeTcbSvn), mrSeam, ...(teeTcbSvn2 && { currentSvn: hex(teeTcbSvn2) }) },
    trustDomain: {
      attributes: tdAttributes.toString(16).padStart(16, '0'),
      xfam,
      ...registers,
      ...(mrServiceTd !== undefined && { mrServiceTd }),
    },
    platform: { ...platform, components: [...platform.components] },
    qe,
    revocation: [...revocation],
    qeIdentity: qeIdentity ?? null,
    tcbInfo: tcbInfo ?? null,
  }
}
