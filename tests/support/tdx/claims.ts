import type { Collateral } from '../../../protocol/attestation/evidence-format.ts'
import { tdx } from '../../../protocol/attestation/formats/tdx.ts'
import type { Json } from '../../../protocol/encoding.ts'
import { tcbInfoDocument, tdxCollateral } from './collateral.ts'
import { tdxAnchor } from './platform.ts'
import { enrollingTdx, makeQuote, type QuoteChanges, tdxEvidence } from './quote.ts'

/** What the tests look at of the claims of a quote. */
type Claims = {
  revocation: string[]
  qeIdentity: { status: string; isCurrent: boolean; tcb: { status: string } } | null
  tcbInfo: {
    issuedAt: number
    isCurrent: boolean
    tcb: { status: string; module: string; advisoryIds: string[] }
  } | null
}

export function claimsOf(
  collateral: readonly Collateral[] = tdxCollateral(),
  quote: QuoteChanges = {},
  now = enrollingTdx.now,
) {
  const verified = tdx.parse(tdxEvidence(makeQuote(quote))).verify([tdxAnchor()], { ...enrollingTdx, now }, collateral)
  return verified.claims as unknown as Claims
}

/** Of a quote that is held against a TCB info with these members. */
export const withInfo = (members: Record<string, Json>, quote: QuoteChanges = {}) =>
  claimsOf(tdxCollateral({ info: tcbInfoDocument(members) }), quote).tcbInfo?.tcb
