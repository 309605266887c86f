import { sql } from 'kysely'
import type { Tx } from '../open.ts'

/** By device and the tag of a network: when it came from there last, in milliseconds since the Unix epoch. */
export type DeviceNetworks = Map<string, Map<string, number>>

/** Of those of these devices that came from anywhere lately. */
export async function findDeviceNetworks(tx: Tx, deviceIds: readonly string[]): Promise<DeviceNetworks> {
  const rows = await tx
    .selectFrom('device_network')
    .select(['device_id', 'network', 'seen_at'])
    .where('device_id', '=', sql<string>`any (${deviceIds}::uuid[])`)
    .execute()
  const byDevice = Map.groupBy(rows, ({ device_id }) => device_id)
  return new Map(
    [...byDevice].map(([deviceId, own]) => [deviceId, new Map(own.map(({ network, seen_at }) => [network, seen_at]))]),
  )
}

/** In one statement. Whoever judges the organization's entries is alone with them. */
export async function storeDeviceNetworks(tx: Tx, seen: DeviceNetworks): Promise<void> {
  const rows = [...seen].flatMap(([deviceId, networks]) =>
    [...networks].map(([network, seenAt]) => ({ deviceId, network, seenAt: new Date(seenAt) })),
  )
  await sql`insert into device_network (organization_id, device_id, network, seen_at)
    select current_organization(), * from unnest(${rows.map(({ deviceId }) => deviceId)}::uuid[],
      ${rows.map(({ network }) => network)}::text[], ${rows.map(({ seenAt }) => seenAt)}::timestamptz[])
    on conflict (organization_id, device_id, network) do update set seen_at = excluded.seen_at
      where device_network.seen_at < excluded.seen_at`.execute(tx)
}

export async function deleteDeviceNetworksBefore(tx: Tx, before: number): Promise<void> {
  await tx
    .deleteFrom('device_network')
    .where('seen_at', '<', sql<number>`${new Date(before)}`)
    .execute()
}
