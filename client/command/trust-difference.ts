import type { TrustKey, UnsignedTrustBundle } from '../../protocol/trust.ts'
import { compareTrustBundles } from '../../protocol/trust-draft.ts'
import { toIsoTime, toTable } from './print.ts'

/** What a next trust bundle changes, as a table. Throws `trust_invalid` for changes that none may make. */
export function trustDifferenceText(previous: UnsignedTrustBundle, next: UnsignedTrustBundle): string {
  const { added, ended, removed } = compareTrustBundles(previous, next)
  const rows = (change: string, keys: readonly TrustKey[]) =>
    keys.map(({ kid, use, alg, notAfter }) => [kid, change, use, alg, toIsoTime(notAfter)])
  return toTable(
    ['KEY', 'CHANGE', 'USE', 'ALGORITHM', 'UNTIL'],
    [...rows('new', added), ...rows('ends', ended), ...rows('taken out', removed)],
  )
}
