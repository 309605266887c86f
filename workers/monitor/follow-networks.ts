import type { Tx } from '../../database/open.ts'
import {
  deleteDeviceNetworksBefore,
  findDeviceNetworks,
  storeDeviceNetworks,
} from '../../database/repositories/device-networks.ts'
import { LONGEST_WINDOW_SECONDS } from '../../protocol/monitor/rules.ts'
import type { CountedEntry, FollowedEntry } from './followed-entry.ts'

/**
 * Remembers from which networks these exchanges came, in their order. Those that came from one which their device had not come from
 * within the window: that one goes to and fro between two is counted twice, not at each turn. What names no network is nothing.
 */
export async function followNetworks(
  tx: Tx,
  exchanges: readonly FollowedEntry[],
  { windowSeconds }: { windowSeconds: number },
): Promise<CountedEntry[]> {
  const placed = exchanges.flatMap((exchange) => {
    const { network } = exchange.data
    return typeof network === 'string' && /^[\w-]{11}$/.test(network) ? [{ exchange, network }] : []
  })
  if (placed.length === 0) return []
  const seen = await findDeviceNetworks(tx, [...new Set(placed.map(({ exchange }) => exchange.deviceId))])
  const arrivals: CountedEntry[] = []
  for (const { exchange, network } of placed) {
    const { deviceId, index, at } = exchange
    const networks = seen.get(deviceId) ?? new Map<string, number>()
    seen.set(deviceId, networks)
    const lastAt = networks.get(network)
    if (lastAt === undefined || lastAt <= at - windowSeconds * 1000) arrivals.push({ index, count: 1 })
    networks.set(network, Math.max(at, lastAt ?? at))
  }
  await storeDeviceNetworks(tx, seen)
  const newestAt = Math.max(...placed.map(({ exchange }) => exchange.at))
  await deleteDeviceNetworksBefore(tx, newestAt - LONGEST_WINDOW_SECONDS * 1000)
  return arrivals
}
