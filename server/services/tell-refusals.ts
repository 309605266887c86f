import { DatabaseError } from '../../database/errors.ts'
import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { findOrganizationsOf } from '../../database/repositories/directory.ts'
import { findPrincipalIds } from '../../database/repositories/principals.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { EventDraft, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { actorOf, logFieldsOf } from '../caller.ts'
import { type AskedId, countOf, type Refused, type RefusedMinute, standings } from './refusal-tally.ts'

export interface TellRefusalsParts {
  database: Database
  clock: Clock
  writeEvent: WriteEvent
  logger: Logger
  metrics: Pick<Metrics, 'refusalsUntold' | 'foreignIdsAsked'>
}

/**
 * Of an organization in a minute, of this process: as many as one batch of the log takes. What was proved is told first, and of the rest
 * what came with the id of a token: of those few are known, where a fleet's devices are known to many.
 */
export const MAX_EVENTS_OF_ORGANIZATION = 256

/** What an organization is to be told of a minute. */
interface News {
  refused: Refused[]
  /** By caller and route. */
  asked: Map<string, AskedId[]>
}

/**
 * Writes the events of a minute, a transaction for each organization, and takes out of `minute` what was told: after a throw it has
 * what was not. What keeps one organization from being told keeps no other, but where the database is away nobody is asked again.
 */
export async function tellRefusals(parts: TellRefusalsParts, minute: RefusedMinute): Promise<void> {
  const organizationOf = await findOwners(parts.database, minute)
  const byOrganization = new Map<string, News>()
  const newsOf = (organizationId: string): News => {
    const news = byOrganization.get(organizationId) ?? { refused: [], asked: new Map() }
    byOrganization.set(organizationId, news)
    return news
  }
  for (const subject of mergeSubjects(minute)) {
    const organizationId = subject.organizationId ?? organizationOf.get(subject.id)
    if (organizationId !== undefined) newsOf(organizationId).refused.push(subject)
  }
  for (const asked of minute.asked.values()) {
    const { organizationId, id } = asked.caller
    // What is the organization's own was not found for another reason.
    if (organizationOf.get(asked.id) === organizationId) continue
    const ofOrganization = newsOf(organizationId).asked
    const key = `${id} ${asked.route}`
    ofOrganization.set(key, [...(ofOrganization.get(key) ?? []), asked])
  }
  const failures: unknown[] = []
  for (const [organizationId, news] of byOrganization) {
    try {
      await tellOrganization(parts, organizationId, minute.since, news)
    } catch (error) {
      failures.push(error)
      if (isDatabaseAway(error)) break
      continue
    }
    noteForeign(parts, organizationOf, news)
    removeTold(minute, news)
  }
  if (failures.length > 0) throw failures[0]
}

export function isDatabaseAway(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === 'unavailable'
}

function removeTold(minute: RefusedMinute, { refused, asked }: News): void {
  for (const { type, id } of refused) {
    for (const standing of standings) minute.refused[standing].delete(`${type} ${id}`)
  }
  for (const { caller, route, id } of [...asked.values()].flat()) minute.asked.delete(`${caller.id} ${route} ${id}`)
}

async function findOwners(database: Database, { refused, asked }: RefusedMinute): Promise<Map<string, string>> {
  const claimed = [...refused.claimed.values()].map(({ id }) => id)
  const ids = new Set([...claimed, ...[...asked.values()].map(({ id }) => id)])
  return ids.size === 0 ? new Map() : database.withoutOrganization((tx) => findOrganizationsOf(tx, [...ids]))
}

/** A subject may have been noted in each standing: it is one, of the best. */
function mergeSubjects({ refused }: RefusedMinute): Refused[] {
  const merged = new Map<string, Refused>()
  for (const standing of standings) {
    for (const [key, subject] of refused[standing]) {
      const known = merged.get(key)
      const counts = known === undefined ? subject.counts : addCounts(known.counts, subject.counts)
      merged.set(key, { ...(known ?? subject), counts } as Refused)
    }
  }
  return [...merged.values()]
}

/** Distances are those of one standing alone: the other has 0. */
function addCounts(one: Refused['counts'], other: Refused['counts']): Refused['counts'] {
  const others = Object.entries(other)
  const sums = others.map(([name, count]) => [name, count + ((one as Record<string, number>)[name] ?? 0)])
  return Object.fromEntries(sums) as Refused['counts']
}

async function tellOrganization(
  parts: TellRefusalsParts,
  organizationId: string,
  since: number,
  { refused, asked }: News,
): Promise<void> {
  const untold = await parts.database.withOrganization(organizationId, async (tx) => {
    // An id that was claimed for a device may be that of something else.
    const claimed = refused.filter(({ standing }) => standing === 'claimed').map(({ id }) => id)
    const devices = claimed.length === 0 ? new Set() : await findPrincipalIds(tx, claimed)
    const subjects = refused
      .filter(({ standing, id }) => standing !== 'claimed' || devices.has(id))
      .toSorted((one, other) => rankOf(one) - rankOf(other) || countOf(other) - countOf(one))
    const shared = { organizationId, requestId: newId() }
    const drafts = [
      ...[...asked.values()].map((ids) => ({ draft: askedDraft(shared, since, ids), count: sumOf(ids) })),
      ...subjects.map((subject) => ({ draft: refusedDraft(shared, since, subject), count: countOf(subject) })),
    ]
    const events = drafts
      .slice(0, MAX_EVENTS_OF_ORGANIZATION)
      .map(({ draft }) => parts.writeEvent(draft, parts.clock.now()))
    if (events.length > 0) await insertEvents(tx, events)
    return drafts.slice(MAX_EVENTS_OF_ORGANIZATION).reduce((sum, { count }) => sum + count, 0)
  })
  parts.metrics.refusalsUntold.inc({ why: 'events' }, untold)
}

type Shared = Pick<EventDraft, 'organizationId' | 'requestId'>

function askedDraft(shared: Shared, since: number, ids: readonly AskedId[]): EventDraft {
  const { caller, route } = ids[0] as AskedId
  const data = { since, route, count: sumOf(ids) }
  return { ...shared, actor: actorOf(caller), type: 'access.elsewhere', subject: {}, data }
}

function refusedDraft(shared: Shared, since: number, { type, id, counts }: Refused): EventDraft {
  const base = { ...shared, actor: { type: 'service', id: NIL_UUID } } as const
  switch (type) {
    case 'exchange.refused':
      return { ...base, type, subject: { deviceId: id }, data: { since, ...counts } }
    case 'api_token.refused':
      return { ...base, type, subject: { apiTokenId: id }, data: { since, ...counts } }
    case 'enrollment_token.refused':
      return { ...base, type, subject: { enrollmentTokenId: id }, data: { since, ...counts } }
    default:
      throw new Error(`This refusal is not known: ${String(type satisfies never)}`)
  }
}

/**
 * For whoever runs the service. The event is the same whether an id is another organization's or nobody's: whoever reads the log of
 * his organization would learn from a difference which ids of others exist.
 */
function noteForeign(parts: TellRefusalsParts, organizationOf: ReadonlyMap<string, string>, { asked }: News): void {
  for (const ids of asked.values()) {
    const foreign = ids.filter(({ id }) => organizationOf.has(id))
    const [first] = foreign
    if (first === undefined) continue
    const count = sumOf(foreign)
    parts.metrics.foreignIdsAsked.inc(count)
    parts.logger.warn('ids of another organization were asked for', {
      ...logFieldsOf(first.caller),
      route: first.route,
      count,
    })
  }
}

function rankOf({ standing, type }: Refused): number {
  return 2 * standings.indexOf(standing) + (type === 'exchange.refused' ? 1 : 0)
}

function sumOf(asked: readonly AskedId[]): number {
  return asked.reduce((sum, { count }) => sum + count, 0)
}
