import type { Tx } from '../../database/open.ts'
import { findKeyUses, type KeyUses, storeKeyUses } from '../../database/repositories/key-uses.ts'
import type { CountedEntry, FollowedEntry } from './followed-entry.ts'

const unused: KeyUses = { uses: 0, isTold: false }

/**
 * Counts the signatures that the service took of each device's identity key, in the order of the log. A rotation begins anew, with its
 * own. Those with which a key came to as many as the threshold: one for each key, which counts all of them.
 */
export async function followKeyUses(
  tx: Tx,
  signed: readonly FollowedEntry[],
  { threshold }: { threshold: number },
): Promise<CountedEntry[]> {
  if (signed.length === 0) return []
  const all = await findKeyUses(tx, [...new Set(signed.map(({ deviceId }) => deviceId))])
  const worn: CountedEntry[] = []
  for (const { deviceId, type, index } of signed) {
    const { uses: before, isTold } = type === 'device.identity_rotated' ? unused : (all.get(deviceId) ?? unused)
    const uses = before + 1
    const isNews = !isTold && uses >= threshold
    if (isNews) worn.push({ index, count: uses })
    all.set(deviceId, { uses, isTold: isTold || isNews })
  }
  await storeKeyUses(tx, all)
  return worn
}
