export const incidentStatuses = ['OPEN', 'ACKNOWLEDGED', 'RESOLVED'] as const
export type IncidentStatus = (typeof incidentStatuses)[number]

/** Entries of the log that are named as evidence of an incident; the rest is counted. */
export const MAX_INCIDENT_EVENTS = 1_000

/** Of one rule, that nobody has resolved; what more there is goes into one that is about `OTHERS`. */
export const MAX_LIVE_INCIDENTS = 20
export const OTHERS = 'others'
