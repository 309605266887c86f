import type { Tx } from '../../database/open.ts'
import { raiseThreatScores } from '../../database/repositories/threat-scores.ts'
import type { SignalGroup } from './group-signals.ts'

/** Of one event that tells of many: more makes a device no more suspicious. */
const MOST_COUNTED_FOR_A_SCORE = 10

/** What was counted of a device raises its threat score, by all rules together. */
export async function raiseScores(tx: Tx, groups: readonly SignalGroup[]): Promise<void> {
  const raises = new Map<string, { by: number; at: number }>()
  for (const { rule, signals } of groups) {
    if (rule.score === 0) continue
    for (const { deviceId, count, at } of signals) {
      if (deviceId === undefined) continue
      const { by, at: lastAt } = raises.get(deviceId) ?? { by: 0, at }
      const more = rule.score * Math.min(count, MOST_COUNTED_FOR_A_SCORE)
      raises.set(deviceId, { by: by + more, at: Math.max(at, lastAt) })
    }
  }
  if (raises.size > 0) await raiseThreatScores(tx, raises)
}
