import type { Tx } from '../../database/open.ts'
import type { LoggedEntry, Signal } from '../../database/repositories/monitor.ts'
import type { FollowedMatter } from '../../protocol/monitor/rules.ts'
import type { EffectiveRule } from '../../protocol/monitor/settings.ts'
import { isStorable, type WatchedEvent } from '../../protocol/monitor/subjects.ts'
import { followKeyUses } from './follow-key-uses.ts'
import { followNetworks } from './follow-networks.ts'
import { followRates } from './follow-rates.ts'
import type { CountedEntry, FollowedEntry } from './followed-entry.ts'

/** What a rule counts of one subject, in the order of the log. */
export interface SignalGroup {
  rule: EffectiveRule
  subject: string
  signals: Signal[]
}

/** An entry, and what it says. */
export interface ReadEntry {
  entry: LoggedEntry
  event: WatchedEvent
}

/** What each rule counts, by what it is about. */
export async function groupSignals(
  tx: Tx,
  rules: readonly EffectiveRule[],
  read: readonly ReadEntry[],
): Promise<SignalGroup[]> {
  const groups = new Map<string, SignalGroup>()
  for (const rule of rules) {
    const own = read.filter(({ event }) => rule.types.includes(event.type))
    for (const { entry, event, count } of await countedOf(tx, rule, own)) {
      const about = rule.subjectOf(event)
      if (count < 1 || about === undefined || !isStorable(about)) continue
      const key = `${rule.name} ${about.subject}`
      const group = groups.get(key) ?? { rule, subject: about.subject, signals: [] }
      groups.set(key, group)
      const { index, eventId, at } = entry
      group.signals.push({ index, eventId, at, count, deviceId: about.deviceId })
    }
  }
  return [...groups.values()]
}

/** Those of the entries that a rule counts, and how much of each. */
async function countedOf(
  tx: Tx,
  rule: EffectiveRule,
  read: readonly ReadEntry[],
): Promise<(ReadEntry & { count: number })[]> {
  if (rule.follows === undefined) return read.map((each) => ({ ...each, count: rule.count?.(each.event) ?? 1 }))
  const ofDevices = read.flatMap(({ entry, event }) => {
    const about = rule.subjectOf(event)
    if (about?.deviceId === undefined || !isStorable(about)) return []
    return [{ ...entry, deviceId: about.deviceId, type: event.type, data: event.data }]
  })
  const counted = await follow[rule.follows](tx, ofDevices, rule)
  const counts = new Map(counted.map(({ index, count }) => [index, count]))
  return read.map((each) => ({ ...each, count: counts.get(each.entry.index) ?? 0 }))
}

const follow: Record<
  FollowedMatter,
  (tx: Tx, entries: readonly FollowedEntry[], rule: EffectiveRule) => Promise<CountedEntry[]>
> = { rate: followRates, networks: followNetworks, keyUses: followKeyUses }
