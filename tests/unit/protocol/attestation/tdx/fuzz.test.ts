import { test } from 'vitest'
import { collateralKindReaders } from '../../../../../protocol/attestation/collateral-kinds.ts'
import { tdx } from '../../../../../protocol/attestation/formats/tdx.ts'
import { FUZZ_TIMEOUT_MS, fuzz } from '../../../../support/fuzz.ts'
import { qeIdentityDocument, tcbInfoDocument, tdxCollateral } from '../../../../support/tdx/collateral.ts'
import { tdxAnchor } from '../../../../support/tdx/platform.ts'
import { enrollingTdx, makeQuote, tdxEvidence } from '../../../../support/tdx/quote.ts'

const seeds = [makeQuote(), makeQuote({ version: 5 }), makeQuote({ version: 5, report: '1.5' })]
const collateral = tdxCollateral()

/** Of a quote: all that is read, without the zeros that may follow it and what may stand between certificates. */
function meaningOf(quote: Uint8Array): unknown {
  const { claims } = tdx.parse(tdxEvidence(quote)).verify([tdxAnchor()], enrollingTdx, collateral)
  return claims
}

test('no mutation of a quote says anything else, and each is refused as evidence', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const verify = (bytes: Uint8Array) => tdx.parse(tdxEvidence(bytes)).verify([tdxAnchor()], enrollingTdx, collateral)
  fuzz('tdx', seeds, verify, (bytes) => Buffer.from(JSON.stringify(meaningOf(bytes))))
})

test('no mutation of a statement is anything but read or malformed', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const documents = [tcbInfoDocument(), qeIdentityDocument()]
  fuzz(
    'tdx statements',
    documents.map(({ body }) => body),
    (bytes, index) => {
      const { kind, chain } = documents[index] as (typeof documents)[number]
      collateralKindReaders[kind](bytes, chain, 0)
    },
    // Whether it is signed is asked where it is used.
    () => Buffer.alloc(0),
  )
})
