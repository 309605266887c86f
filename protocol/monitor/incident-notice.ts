import { z } from 'zod'
import { timestamp, uuid } from '../wire.ts'
import type { IncidentSeverity } from './rules.ts'

/** What the receiver of notices is told of. Whoever resolves an incident knows of it already. */
export const incidentNoticeTypes = ['incident.opened', 'incident.escalated'] as const
export type IncidentNoticeType = (typeof incidentNoticeTypes)[number]

/** What a notice says of an incident: as it was then, and no name of a device. */
export interface IncidentFacts {
  id: string
  /** Whose it is; the nil UUID is the service itself. */
  organizationId: string
  rule: string
  about: string
  severity: IncidentSeverity
  count: number
  devices: number
  openedAt: number
}

/** The body of a notice, the same at each try. */
export function formatIncidentNotice(type: IncidentNoticeType, { id, ...facts }: IncidentFacts, at: number): string {
  const data = { incidentId: id, ...facts, path: `/v1/incidents/${id}` }
  return JSON.stringify({ type, timestamp: new Date(at).toISOString(), data })
}

/** Members of later releases are kept, and types of theirs are no error. */
export const incidentNotice = z.looseObject({
  type: z.string(),
  /** When it happened, as ISO 8601 text; the header has the time of the try. */
  timestamp: z.iso.datetime(),
  data: z.looseObject({
    incidentId: uuid,
    organizationId: uuid,
    rule: z.string(),
    about: z.string(),
    severity: z.string(),
    count: z.int(),
    devices: z.int(),
    openedAt: timestamp,
    /** Of the API, where the incident is. */
    path: z.string(),
  }),
})
