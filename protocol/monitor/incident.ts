export const incidentStatuses = ['OPEN', 'ACKNOWLEDGED', 'RESOLVED'] as const
export type IncidentStatus = (typeof incidentStatuses)[number]

/** Entries of the log that are named as evidence of an incident; the rest is counted. */
export const MAX_INCIDENT_EVENTS = 1_000
