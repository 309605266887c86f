import { z } from 'zod'
import { timestamp, uuid } from '../protocol/wire.ts'

// What the server answers of incidents and its security monitor (docs/api.md). What a newer server adds is passed on.

const facts = {
  id: uuid,
  /** The nil UUID: of the service itself. */
  organizationId: uuid,
  rule: z.string(),
  /** What the rule counted together. */
  about: z.string(),
  severity: z.string(),
  status: z.string(),
  openedAt: timestamp,
  /** Of its newest event. */
  lastAt: timestamp,
  count: z.int(),
  /** How many devices are in it. */
  devices: z.int(),
  acknowledgedAt: timestamp.nullable(),
  /** The API token that did so first. */
  acknowledgedBy: uuid.nullable(),
  resolvedAt: timestamp.nullable(),
  resolvedBy: uuid.nullable(),
}
export const incident = z.looseObject(facts)
export type Incident = z.output<typeof incident>

/** `events`: the first entries of the log that are its evidence. */
export const wholeIncident = z.looseObject({
  ...facts,
  events: z.array(z.looseObject({ index: z.int(), eventId: uuid, at: timestamp })),
})
export type WholeIncident = z.output<typeof wholeIncident>

/** `response`: what the service did with it; `withheld`: why it did not do what it should have. */
export const incidentDevice = z.looseObject({
  deviceId: uuid,
  name: z.string().nullable(),
  /** Of the device now. */
  status: z.string().nullable(),
  response: z.string().nullable(),
  respondedAt: timestamp.nullable(),
  withheld: z.string().nullable(),
})
export type IncidentDevice = z.output<typeof incidentDevice>

/** The settings as they are stored, and every rule as it holds with them. */
export const shownMonitorSettings = z.looseObject({
  settings: z.looseObject({
    dryRun: z.boolean(),
    responsesPerHour: z.int(),
    slowMinutes: z.int().default(60),
    rules: z.record(z.string(), z.looseObject({})),
  }),
  changedAt: timestamp.nullable(),
  /** False: what is stored is not valid, and the defaults hold. */
  isReadable: z.boolean(),
  rules: z.array(
    z.looseObject({
      name: z.string(),
      meaning: z.string(),
      isEnabled: z.boolean(),
      threshold: z.int(),
      windowSeconds: z.int(),
      severity: z.string(),
      response: z.string(),
      mayRespond: z.boolean(),
    }),
  ),
})
export type ShownMonitorSettings = z.output<typeof shownMonitorSettings>

export const threatScore = z.looseObject({
  deviceId: uuid,
  name: z.string().nullable(),
  status: z.string().nullable(),
  /** What is left of it now. */
  score: z.number(),
  scoredAt: timestamp,
})
export type ThreatScore = z.output<typeof threatScore>
