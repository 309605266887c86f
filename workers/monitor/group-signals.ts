import type { Tx } from '../../database/open.ts'
import type { LoggedEntry, Signal } from '../../database/repositories/monitor.ts'
import type { WatchedEvent } from '../../protocol/monitor/rules.ts'
import type { EffectiveRule } from '../../protocol/monitor/settings.ts'
import { followRates } from './follow-rates.ts'

/** What a rule counts of one subject, in the order of the log. */
export interface SignalGroup {
  rule: EffectiveRule
  subject: string
  signals: Signal[]
}

/** What each rule counts, by what it is about. */
export async function groupSignals(
  tx: Tx,
  rules: readonly EffectiveRule[],
  entries: readonly LoggedEntry[],
): Promise<SignalGroup[]> {
  const groups = new Map<string, SignalGroup>()
  const read = entries.map((entry) => ({ entry, event: JSON.parse(entry.entry) as WatchedEvent }))
  for (const rule of rules) {
    const own = read.filter(({ event }) => rule.types.includes(event.type))
    for (const { entry, event } of rule.isOfRate ? await unusualOf(tx, rule, own) : own) {
      const count = rule.count?.(event) ?? 1
      const about = rule.subjectOf(event)
      if (count < 1 || about === undefined) continue
      const key = `${rule.name} ${about.subject}`
      const group = groups.get(key) ?? { rule, subject: about.subject, signals: [] }
      groups.set(key, group)
      const { index, eventId, at } = entry
      group.signals.push({ index, eventId, at, count, deviceId: about.deviceId })
    }
  }
  return [...groups.values()]
}

interface Read {
  entry: LoggedEntry
  event: WatchedEvent
}

async function unusualOf(tx: Tx, rule: EffectiveRule, read: readonly Read[]): Promise<Read[]> {
  const exchanges = read.flatMap(({ entry, event }) => {
    const deviceId = rule.subjectOf(event)?.deviceId
    return deviceId === undefined ? [] : [{ ...entry, deviceId }]
  })
  const unusual = new Set((await followRates(tx, exchanges)).map(({ index }) => index))
  return read.filter(({ entry }) => unusual.has(entry.index))
}
