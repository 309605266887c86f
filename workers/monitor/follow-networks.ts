import type { Tx } from '../../database/open.ts'
import {
  type DeviceNetwork,
  findDeviceNetworks,
  storeDeviceNetworks,
} from '../../database/repositories/device-networks.ts'
import type { CountedEntry, FollowedEntry } from './followed-entry.ts'

/**
 * Remembers from which networks these exchanges came, in their order. Those that came from one which their device had not come from
 * within the window: that one goes to and fro between two is counted twice, not at each turn. What names no network is nothing. Only the
 * networks of these exchanges are looked up and stored: those from which a device came besides may be many, where somebody wants it so.
 */
export async function followNetworks(
  tx: Tx,
  exchanges: readonly FollowedEntry[],
  { windowSeconds }: { windowSeconds: number },
): Promise<CountedEntry[]> {
  const placed = exchanges.flatMap((exchange) => {
    const { network } = exchange.data
    return typeof network === 'string' && /^[\w-]{11}$/.test(network) ? [{ ...exchange, network }] : []
  })
  if (placed.length === 0) return []
  const seen = new Map<string, DeviceNetwork>()
  for (const known of await findDeviceNetworks(tx, placed)) seen.set(nameOf(known), known)
  const arrivals: CountedEntry[] = []
  for (const { deviceId, network, index, at } of placed) {
    const name = nameOf({ deviceId, network })
    const lastAt = seen.get(name)?.seenAt
    if (lastAt === undefined || lastAt <= at - windowSeconds * 1000) arrivals.push({ index, count: 1 })
    seen.set(name, { deviceId, network, seenAt: Math.max(at, lastAt ?? at) })
  }
  await storeDeviceNetworks(tx, [...seen.values()])
  return arrivals
}

const nameOf = ({ deviceId, network }: Pick<DeviceNetwork, 'deviceId' | 'network'>) => `${deviceId} ${network}`
