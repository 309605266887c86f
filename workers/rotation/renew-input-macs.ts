import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  type CollateralRow,
  listStaleCollateralMacs,
  lockStaleCollateral,
  markCollateralMismatched,
  replaceCollateralMac,
} from '../../database/repositories/collateral.ts'
import {
  listStaleReferenceValueMacs,
  lockStaleReferenceValues,
  markReferenceValueMismatched,
  type ReferenceValueRow,
  replaceReferenceValueMac,
} from '../../database/repositories/reference-values.ts'
import {
  listStaleTrustAnchorMacs,
  lockStaleTrustAnchors,
  markTrustAnchorMismatched,
  replaceTrustAnchorMac,
  type TrustAnchorRow,
} from '../../database/repositories/trust-anchors.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Happening, WriteEvent } from '../../runtime/audit-events.ts'
import {
  isCollateralGenuine,
  isReferenceValueGenuine,
  isTrustAnchorGenuine,
  macCollateral,
  macReferenceValue,
  macTrustAnchor,
} from '../../runtime/custody/attestation-input-macs.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'

export interface RenewInputMacsParts {
  database: Database
  keyring: Keyring
  writeEvent: WriteEvent
}

type Happened = Happening<
  'kek.resealed' | 'trust_anchor.mac_mismatched' | 'reference_value.mac_mismatched' | 'collateral.mac_mismatched'
>

/** What is the same for all tables is done once, below. */
interface InputTable<Row extends { id: string }> {
  listStale(tx: Tx, below: number, pageSize: number): Promise<{ organizationId: string; id: string }[]>
  lockStale(tx: Tx, below: number, ids: readonly string[]): Promise<Row[]>
  isGenuine(keyring: Keyring, row: Row): Promise<boolean>
  mac(keyring: Keyring, row: Row): { mac: Uint8Array; version: number }
  replaceMac(tx: Tx, made: { id: string; mac: Uint8Array; macKeyVersion: number }): Promise<void>
  markMismatched(tx: Tx, id: string, at: number): Promise<void>
  toMismatched(row: Row): Happened
}

const trustAnchors: InputTable<TrustAnchorRow> = {
  listStale: listStaleTrustAnchorMacs,
  lockStale: lockStaleTrustAnchors,
  isGenuine: isTrustAnchorGenuine,
  mac: macTrustAnchor,
  replaceMac: replaceTrustAnchorMac,
  markMismatched: markTrustAnchorMismatched,
  toMismatched: ({ id }) => ({ type: 'trust_anchor.mac_mismatched', subject: { trustAnchorId: id }, data: {} }),
}

const referenceValues: InputTable<ReferenceValueRow> = {
  listStale: listStaleReferenceValueMacs,
  lockStale: lockStaleReferenceValues,
  isGenuine: isReferenceValueGenuine,
  mac: macReferenceValue,
  replaceMac: replaceReferenceValueMac,
  markMismatched: markReferenceValueMismatched,
  toMismatched: ({ id }) => ({ type: 'reference_value.mac_mismatched', subject: { referenceValueId: id }, data: {} }),
}

const collateral: InputTable<CollateralRow> = {
  listStale: listStaleCollateralMacs,
  lockStale: lockStaleCollateral,
  isGenuine: isCollateralGenuine,
  mac: macCollateral,
  replaceMac: replaceCollateralMac,
  markMismatched: markCollateralMismatched,
  toMismatched: ({ id }) => ({ type: 'collateral.mac_mismatched', subject: { collateralId: id }, data: {} }),
}

const BATCH = 500

/**
 * Brings the MACs of trust anchors, reference values and collateral under the newest key, those that are removed too: what was decided with them
 * can be decided again. Each is verified before: what somebody put there must not get a good MAC from us. Of one that is wrong one event
 * of severity critical tells, and it is not made good.
 */
export async function renewInputMacs(
  parts: RenewInputMacsParts,
  now: number,
): Promise<{ renewed: number; mismatched: number }> {
  const all = [
    await renewTable(parts, trustAnchors, now),
    await renewTable(parts, referenceValues, now),
    await renewTable(parts, collateral, now),
  ]
  const sum = (count: (of: (typeof all)[number]) => number) => all.reduce((total, one) => total + count(one), 0)
  return { renewed: sum(({ renewed }) => renewed), mismatched: sum(({ mismatched }) => mismatched) }
}

async function renewTable<Row extends { id: string }>(
  parts: RenewInputMacsParts,
  table: InputTable<Row>,
  now: number,
): Promise<{ renewed: number; mismatched: number }> {
  const below = parts.keyring.activeVersion('identityMac')
  const done = { renewed: 0, mismatched: 0 }
  for (;;) {
    const stale = await parts.database.withoutOrganization((tx) => table.listStale(tx, below, BATCH))
    if (stale.length === 0) return done
    for (const [organizationId, rows] of Map.groupBy(stale, (row) => row.organizationId)) {
      const ids = rows.map(({ id }) => id)
      const { renewed, mismatched } = await renewBatch(parts, table, { organizationId, ids, below, now })
      done.renewed += renewed
      done.mismatched += mismatched
    }
  }
}

function renewBatch<Row extends { id: string }>(
  { database, keyring, writeEvent }: RenewInputMacsParts,
  table: InputTable<Row>,
  { organizationId, ids, below, now }: { organizationId: string; ids: readonly string[]; below: number; now: number },
): Promise<{ renewed: number; mismatched: number }> {
  return database.withOrganization(organizationId, async (tx) => {
    const happened: Happened[] = []
    let renewed = 0
    let madeVersion = below
    for (const row of await table.lockStale(tx, below, ids)) {
      if (await table.isGenuine(keyring, row)) {
        const { mac, version } = table.mac(keyring, row)
        await table.replaceMac(tx, { id: row.id, mac, macKeyVersion: version })
        madeVersion = version
        renewed++
      } else {
        await table.markMismatched(tx, row.id, now)
        happened.push(table.toMismatched(row))
      }
    }
    if (renewed > 0) {
      const subject = { purpose: 'identityMac', version: madeVersion } as const
      happened.unshift({ type: 'kek.resealed', subject, data: { values: renewed } })
    }
    const by = { organizationId, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
    await insertEvents(
      tx,
      happened.map((one) => writeEvent({ ...by, ...one }, now)),
    )
    return { renewed, mismatched: happened.length - (renewed > 0 ? 1 : 0) }
  })
}
