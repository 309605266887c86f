import type { Collateral, CollateralKind } from './evidence-format.ts'
import { androidStatusListId, parseStatusList } from './formats/android-key/status-list.ts'
import { parseTdxCollateral, type TdxCollateralKind } from './formats/tdx/tcb-collateral.ts'
import { parseCrl } from './x509/parse-crl.ts'
import { crlIdOf } from './x509/revocation.ts'

/** What a kind of collateral says of itself. Untrusted bytes: signatures are looked at by the evidence that needs them. */
export interface CollateralFacts extends Pick<Collateral, 'lookupId' | 'issuedAt' | 'nextUpdateAt'> {
  /** For people: whose it is, such as `CRL of …`; at most 128 characters. */
  name: string
}

/** How each kind of collateral is read. `fetchedAt` is what counts where the bytes say no time themselves. Throws `evidence_malformed`. */
export const collateralKindReaders: Record<
  CollateralKind,
  (body: Uint8Array, chain: readonly Uint8Array[], fetchedAt: number) => CollateralFacts
> = {
  crl(body) {
    const { issuerId, thisUpdate, nextUpdate } = parseCrl(body)
    const lookupId = crlIdOf(issuerId)
    return { lookupId, issuedAt: thisUpdate, nextUpdateAt: nextUpdate, name: `revocation list of ${issuerId}` }
  },
  'android-status-list'(body, _chain, fetchedAt) {
    const { size } = parseStatusList(body)
    const name = `Android key attestation status list of ${size} certificates`
    // It says no time, and is not signed: whoever fetches it vouches for both.
    return { lookupId: androidStatusListId, issuedAt: fetchedAt, nextUpdateAt: undefined, name }
  },
  'tdx-tcb-info': (body, chain) => readTdx('tdx-tcb-info', body, chain),
  'tdx-qe-identity': (body, chain) => readTdx('tdx-qe-identity', body, chain),
}

function readTdx(kind: TdxCollateralKind, body: Uint8Array, chain: readonly Uint8Array[]): CollateralFacts {
  const { lookupId, statement } = parseTdxCollateral(kind, body, chain)
  const name =
    'fmspc' in statement ? `TCB info of FMSPC ${statement.fmspc}` : `identity of quoting enclave ${statement.id}`
  return { lookupId, issuedAt: statement.issueDate, nextUpdateAt: statement.nextUpdate, name }
}
