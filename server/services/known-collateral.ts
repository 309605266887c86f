import type { Tx } from '../../database/open.ts'
import { type CollateralRow, getCollateralBody, listCollateralAt } from '../../database/repositories/collateral.ts'
import type { Collateral } from '../../protocol/attestation/evidence-format.ts'
import type { Primitives } from '../../protocol/primitives.ts'

/** Of bodies that are kept, in bytes; what is parsed of them may take some times as much. */
const MAX_KEPT_BYTES = 32 << 20

export interface KnownCollateral {
  /** Those of one of these look-up ids that were there at that time, and `isGenuine` by their rows; a body of another hash is none. */
  list(
    tx: Tx,
    wanted: { lookupIds: readonly string[]; at: number },
    isGenuine: (row: CollateralRow) => Promise<boolean>,
  ): Promise<Collateral[]>
}

/**
 * Collateral is long, and the same for every device: a body is read once, by the id of its row, of which nothing but its removal and its
 * MAC ever changes. The row is read, under the rules of its tenant, each time.
 */
export function createKnownCollateral({ crypto }: { crypto: Primitives }): KnownCollateral {
  const kept = new Map<string, Collateral>()
  let keptBytes = 0

  async function find(tx: Tx, row: CollateralRow): Promise<Collateral | undefined> {
    const known = kept.get(row.id)
    if (known !== undefined) {
      kept.delete(row.id)
      kept.set(row.id, known)
      return known
    }
    const body = await getCollateralBody(tx, row.id)
    if (!crypto.equal(crypto.sha256(body), row.bodyHash)) return undefined
    const { kind, lookupId, issuedAt, nextUpdateAt, chain } = row
    const collateral = { kind, lookupId, issuedAt, nextUpdateAt, body, chain }
    keep(row.id, collateral)
    return collateral
  }

  function keep(id: string, collateral: Collateral): void {
    if (kept.has(id)) return
    kept.set(id, collateral)
    keptBytes += collateral.body.length
    for (const [oldest, { body }] of kept) {
      if (keptBytes <= MAX_KEPT_BYTES) return
      kept.delete(oldest)
      keptBytes -= body.length
    }
  }

  return {
    async list(tx, wanted, isGenuine) {
      if (wanted.lookupIds.length === 0) return []
      const found: Collateral[] = []
      for (const row of await listCollateralAt(tx, wanted)) {
        const collateral = (await isGenuine(row)) ? await find(tx, row) : undefined
        if (collateral !== undefined) found.push(collateral)
      }
      return found
    },
  }
}
