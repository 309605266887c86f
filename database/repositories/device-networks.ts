import { sql } from 'kysely'
import type { Tx } from '../open.ts'

export interface DeviceNetwork {
  deviceId: string
  /** A tag. */
  network: string
  /** When the device came from there last; milliseconds since the Unix epoch. */
  seenAt: number
}

/** Those of these that their device came from lately. */
export async function findDeviceNetworks(
  tx: Tx,
  wanted: readonly Pick<DeviceNetwork, 'deviceId' | 'network'>[],
): Promise<DeviceNetwork[]> {
  const { rows } = await sql<{ device_id: string; network: string; seen_at: number }>`
    select n.device_id, n.network, n.seen_at from device_network n
      join (select distinct * from unnest(${wanted.map(({ deviceId }) => deviceId)}::uuid[],
        ${wanted.map(({ network }) => network)}::text[]) as w(device_id, network)) w
      on n.organization_id = current_organization() and n.device_id = w.device_id and n.network = w.network`.execute(tx)
  return rows.map(({ device_id: deviceId, network, seen_at: seenAt }) => ({ deviceId, network, seenAt }))
}

/** In one statement, each of them once. Whoever judges the organization's entries is alone with them. */
export async function storeDeviceNetworks(tx: Tx, seen: readonly DeviceNetwork[]): Promise<void> {
  await sql`insert into device_network (organization_id, device_id, network, seen_at)
    select current_organization(), * from unnest(${seen.map(({ deviceId }) => deviceId)}::uuid[],
      ${seen.map(({ network }) => network)}::text[], ${seen.map(({ seenAt }) => new Date(seenAt))}::timestamptz[])
    on conflict (organization_id, device_id, network) do update set seen_at = excluded.seen_at
      where device_network.seen_at < excluded.seen_at`.execute(tx)
}
