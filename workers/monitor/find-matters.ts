import type { Tx } from '../../database/open.ts'
import { countLiveIncidents, type Incident, lockLiveIncidents } from '../../database/repositories/incidents.ts'
import {
  deleteSignals,
  insertSignals,
  listSignals,
  type Signal,
  type SignalName,
} from '../../database/repositories/monitor.ts'
import { findBurst } from '../../protocol/monitor/find-burst.ts'
import { MAX_LIVE_INCIDENTS, OTHERS } from '../../protocol/monitor/incident.ts'
import type { EffectiveRule } from '../../protocol/monitor/settings.ts'
import type { SignalGroup } from './group-signals.ts'

/** The times of what several processes log are not quite in the order of the log. */
const LATE_MS = 60_000

/** What belongs into an incident: into this one that is there, or into a new one, of which there is enough. */
export interface Matter extends SignalGroup {
  live: Incident | undefined
}

/** What was counted that is of an incident; the rest is kept until it is, or is out of its window. */
export async function findMatters(tx: Tx, groups: readonly SignalGroup[]): Promise<Matter[]> {
  if (groups.length === 0) return []
  const names = groups.map(toName)
  const live = byName(await lockLiveIncidents(tx, names))
  const known = groups.flatMap((group) => {
    const incident = live.get(nameOf(toName(group)))
    return incident === undefined ? [] : [{ ...group, live: incident }]
  })
  const waiting = groups.filter((group) => !live.has(nameOf(toName(group))))
  return [...known, ...(await placeBursts(tx, await findBursts(tx, waiting)))]
}

/** Those of which as much was counted as their rule says, with all of it. */
async function findBursts(tx: Tx, groups: readonly SignalGroup[]): Promise<SignalGroup[]> {
  if (groups.length === 0) return []
  await insertSignals(
    tx,
    groups.map((group) => ({ ...toName(group), signals: group.signals })),
  )
  const names = groups.map((group) => ({ ...toName(group), atLeast: group.rule.threshold }))
  const counted = Map.groupBy(await listSignals(tx, names), nameOf)
  const bursts: SignalGroup[] = []
  const over: (SignalName & Signal)[][] = []
  for (const { rule, subject } of groups) {
    const own = counted.get(nameOf({ rule: rule.name, subject })) ?? []
    const start = findBurst(own, rule)
    over.push(start === undefined ? outOfWindow(own, rule) : own)
    if (start !== undefined) bursts.push({ rule, subject, signals: own.slice(start) })
  }
  const deleted = over.flat()
  if (deleted.length > 0) await deleteSignals(tx, deleted)
  return bursts
}

/** What no window that is still to come has in it. */
function outOfWindow<T extends Signal>(signals: readonly T[], { windowSeconds }: EffectiveRule): T[] {
  const last = signals.at(-1)
  return last === undefined ? [] : signals.filter(({ at }) => at <= last.at - windowSeconds * 1000 - LATE_MS)
}

/**
 * Each into an incident of its own, but of one rule only so many: what is more is about others, in one incident. A flood of devices, or
 * in the names of devices, is as much as people look at, and as many notices.
 */
async function placeBursts(tx: Tx, bursts: readonly SignalGroup[]): Promise<Matter[]> {
  if (bursts.length === 0) return []
  const rules = new Map(bursts.map(({ rule }) => [rule.name as string, rule]))
  const counts = await countLiveIncidents(tx, [...rules.keys()])
  const matters: Matter[] = []
  const rest: SignalGroup[] = []
  for (const burst of bursts) {
    const count = counts.get(burst.rule.name) ?? 0
    if (count >= MAX_LIVE_INCIDENTS) rest.push(burst)
    else matters.push({ ...burst, live: undefined })
    counts.set(burst.rule.name, count + 1)
  }
  if (rest.length === 0) return matters
  const byRule = Map.groupBy(rest, ({ rule }) => rule.name as string)
  const others = byName(
    await lockLiveIncidents(
      tx,
      [...byRule.keys()].map((rule) => ({ rule, subject: OTHERS })),
    ),
  )
  for (const [name, alike] of byRule) {
    const signals = alike.flatMap((burst) => burst.signals).toSorted((a, b) => a.index - b.index)
    const rule = rules.get(name) as EffectiveRule
    matters.push({ rule, subject: OTHERS, signals, live: others.get(nameOf({ rule: name, subject: OTHERS })) })
  }
  return matters
}

function byName(incidents: readonly Incident[]): Map<string, Incident> {
  return new Map(incidents.map((incident) => [nameOf(incident), incident]))
}

function toName({ rule, subject }: SignalGroup): SignalName {
  return { rule: rule.name, subject }
}

function nameOf({ rule, subject }: SignalName): string {
  return `${rule} ${subject}`
}
