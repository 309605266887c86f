import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  findIncident,
  type IncidentDevice,
  type IncidentEvent,
  listIncidentDevices,
  listIncidentEvents,
  listIncidents,
  lockIncident,
  markIncident,
} from '../../database/repositories/handle-incidents.ts'
import type { Incident } from '../../database/repositories/incidents.ts'
import { enterOrganization } from '../../database/repositories/organizations.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'

/** With whose it is: the nil UUID is the service itself. */
export interface OwnedIncident extends Incident {
  organizationId: string
}
export type Incidents = ReturnType<typeof createIncidents>

/** What the security monitor found, for its operators. What it found of the service itself is for those who administer the service. */
export function createIncidents(parts: { database: Database; clock: Clock; writeEvent: WriteEvent }) {
  const { database } = parts

  /** Throws `not_found`. */
  async function withIncident<T>(
    operator: Operator,
    id: string,
    read: (tx: Tx, incident: OwnedIncident) => Promise<T>,
  ): Promise<T> {
    for (const organizationId of ownersOf(operator)) {
      const found = await database.withOrganization(organizationId, async (tx) => {
        const incident = await findIncident(tx, id)
        return incident && { value: await read(tx, { ...incident, organizationId }) }
      })
      if (found !== undefined) return found.value
    }
    throw notFound()
  }

  /** One that is there already stays as it is, without an event. */
  function mark(status: 'ACKNOWLEDGED' | 'RESOLVED') {
    return (operator: Operator, id: string, requestId: string): Promise<OwnedIncident> =>
      changeAs(parts, operator, async (tx, now) => {
        const incident = await lockOwned(tx, operator, id)
        const { organizationId, rule } = incident
        if (incident.status === status) return incident
        if (incident.status === 'RESOLVED') throw new ServiceError('session_state', 'The incident is RESOLVED.')
        await markIncident(tx, id, { status, by: operator.id, at: now })
        const marked = await findIncident(tx, id)
        const type = status === 'RESOLVED' ? 'incident.resolved' : 'incident.acknowledged'
        const happening = { type, subject: { incidentId: id }, data: { rule } } as const
        const event = parts.writeEvent({ organizationId, actor: actorOf(operator), ...happening, requestId }, now)
        await insertEvents(tx, [event])
        return { ...incident, ...marked }
      })
  }

  return {
    /** Newest first, whoever's they are. */
    async list(operator: Operator, page: Parameters<typeof listIncidents>[1]): Promise<OwnedIncident[]> {
      const found: OwnedIncident[] = []
      for (const organizationId of ownersOf(operator)) {
        const own = await database.withOrganization(organizationId, (tx) => listIncidents(tx, page))
        found.push(...own.map((incident) => ({ ...incident, organizationId })))
      }
      return found.toSorted((a, b) => (a.id < b.id ? 1 : -1)).slice(0, page.limit)
    },

    /** With the entries of the log that are its evidence, as many as are kept. */
    get(operator: Operator, id: string): Promise<OwnedIncident & { events: IncidentEvent[] }> {
      return withIncident(operator, id, async (tx, incident) => ({
        ...incident,
        events: await listIncidentEvents(tx, id),
      }))
    },

    listDevices(
      operator: Operator,
      id: string,
      page: Parameters<typeof listIncidentDevices>[2],
    ): Promise<IncidentDevice[]> {
      return withIncident(operator, id, (tx) => listIncidentDevices(tx, id, page))
    },

    /** Somebody is looking at it. Throws `session_state` for one that is over. */
    acknowledge: mark('ACKNOWLEDGED'),
    /** It is over: the same opens a new one. */
    resolve: mark('RESOLVED'),
  }
}

/** Whose incidents somebody sees. */
function ownersOf({ organizationId, isServiceAdmin }: Operator): string[] {
  return isServiceAdmin ? [organizationId, NIL_UUID] : [organizationId]
}

/** The transaction is the incident's owner from here on. Throws `not_found`. */
async function lockOwned(tx: Tx, operator: Operator, id: string): Promise<OwnedIncident> {
  for (const organizationId of ownersOf(operator)) {
    await enterOrganization(tx, organizationId)
    const incident = await lockIncident(tx, id)
    if (incident !== undefined) return { ...incident, organizationId }
  }
  throw notFound()
}

function notFound(): ServiceError {
  return new ServiceError('not_found', 'There is no such incident.')
}
