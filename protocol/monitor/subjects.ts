import { isUuid, type Json } from '../encoding.ts'
import type { AuditEvent } from '../log/audit-event.ts'
import type { AuditEventType } from '../log/audit-event-types.ts'

/** An entry of the log, as far as rules look at it. */
export type WatchedEvent = Pick<AuditEvent, 'actor' | 'subject' | 'data'> & { type: AuditEventType }

/** What a rule counts together: what it is about, and the device, where it is one. */
export interface SignalSubject {
  /** At most 200 characters; what an incident is named by beside its rule. */
  subject: string
  deviceId: string | undefined
}

/**
 * Attacker-controlled input: whoever writes to the outbox can have anything logged that has a type and a time, and a release to come
 * may write what this one does not know. Undefined for what is not of the form of an event that a rule looks at.
 */
export function readWatchedEvent(entry: string): WatchedEvent | undefined {
  const event = parseObject(entry)
  const { actor, subject, data } = event
  if (!isObject(actor) || !isObject(subject) || !isObject(data)) return undefined
  if (typeof actor.id !== 'string' || !isUuid(actor.id)) return undefined
  return event as unknown as WatchedEvent
}

/** Whether the database takes it. */
export function isStorable({ subject, deviceId }: SignalSubject): boolean {
  return /^[\x20-\x7e]{1,200}$/.test(subject) && (deviceId === undefined || isUuid(deviceId))
}

export const ofDevice = ({ subject: { deviceId } }: WatchedEvent): SignalSubject | undefined =>
  typeof deviceId === 'string' ? { subject: `device ${deviceId}`, deviceId } : undefined

export const ofActor = ({ actor }: WatchedEvent): SignalSubject => ({
  subject: `${actor.type} ${actor.id}`,
  deviceId: actor.type === 'device' || actor.type === 'coordinator' ? actor.id : undefined,
})

export const ofEnrollmentToken = ({ subject: { enrollmentTokenId } }: WatchedEvent): SignalSubject | undefined =>
  typeof enrollmentTokenId === 'string'
    ? { subject: `enrollment_token ${enrollmentTokenId}`, deviceId: undefined }
    : undefined

export const ofApiToken = ({ subject: { apiTokenId } }: WatchedEvent): SignalSubject | undefined =>
  typeof apiTokenId === 'string' ? { subject: `api_token ${apiTokenId}`, deviceId: undefined } : undefined

/** More is nothing that a rule counts, nor anything that one event could tell. */
export const MOST_COUNTED = 10_000_000

/** What the event counted under this name. */
export const counted =
  (member: string) =>
  ({ data: { [member]: count } }: WatchedEvent): number =>
    typeof count === 'number' && Number.isInteger(count) ? Math.min(count, MOST_COUNTED) : 0

/** Devices that fail the same checks of the same policy fail for one reason, most likely. */
export const ofCause = (event: WatchedEvent): SignalSubject | undefined => {
  const { policyId, checks } = event.data
  const device = ofDevice(event)
  if (device === undefined || typeof policyId !== 'string' || !Array.isArray(checks)) return undefined
  const names = checks.map(String).toSorted((a, b) => (a < b ? -1 : 1))
  return { ...device, subject: `policy ${policyId}: ${names.join(', ')}`.slice(0, 200) }
}

export const ofKek = ({ subject: { purpose, version } }: WatchedEvent): SignalSubject | undefined =>
  typeof purpose === 'string' && typeof version === 'number'
    ? { subject: `key-encryption key ${version} of ${purpose}`, deviceId: undefined }
    : undefined

export const ofLog = (): SignalSubject => ({ subject: 'audit log', deviceId: undefined })

type Members = { [key: string]: Json }

function parseObject(entry: string): Members {
  try {
    const value = JSON.parse(entry) as Json
    return isObject(value) ? value : {}
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

function isObject(value: Json | undefined): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
