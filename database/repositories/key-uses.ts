import { sql } from 'kysely'
import type { Tx } from '../open.ts'

/** How often the identity key that a device has was used, and whether it was said that this is often. */
export interface KeyUses {
  uses: number
  isTold: boolean
}

/** Of those of these devices that have any, by their id. */
export async function findKeyUses(tx: Tx, deviceIds: readonly string[]): Promise<Map<string, KeyUses>> {
  const rows = await tx
    .selectFrom('key_use')
    .select(['device_id', 'uses', 'is_told'])
    .where('device_id', '=', sql<string>`any (${deviceIds}::uuid[])`)
    .execute()
  return new Map(rows.map(({ device_id, uses, is_told }) => [device_id, { uses, isTold: is_told }]))
}

/** In one statement. Whoever judges the organization's entries is alone with them. */
export async function storeKeyUses(tx: Tx, all: ReadonlyMap<string, KeyUses>): Promise<void> {
  const counts = [...all.values()]
  await sql`insert into key_use (organization_id, device_id, uses, is_told)
    select current_organization(), * from unnest(${[...all.keys()]}::uuid[], ${counts.map(({ uses }) => uses)}::bigint[],
      ${counts.map(({ isTold }) => isTold)}::boolean[])
    on conflict (organization_id, device_id) do update set uses = excluded.uses, is_told = excluded.is_told`.execute(tx)
}
