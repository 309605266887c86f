import type { AuditEvent } from '../protocol/log/audit-event.ts'
import { auditEntry } from '../protocol/log/audit-event.ts'
import {
  type AuditData,
  type AuditEventType,
  type AuditSubject,
  auditEventTypes,
} from '../protocol/log/audit-event-types.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { newId } from './ids.ts'

export interface LoggedEvent {
  eventId: string
  organizationId: string
  entry: string
}

/** What happened, with the members that the table of types names and no others. */
export type Happening<T extends AuditEventType = AuditEventType> = {
  [K in T]: { type: K; subject: AuditSubject<K>; data: AuditData<K> }
}[T]

/** An event before it has its id, time and severity. */
export type EventDraft = Pick<AuditEvent, 'organizationId' | 'actor' | 'requestId'> & Happening

/** Gives an event its severity, id, time and salt, and its canonical form. */
export type WriteEvent = (draft: EventDraft, at: number) => LoggedEvent

export function createEventWriter(crypto: Primitives): WriteEvent {
  return (draft, at) => {
    const eventId = newId()
    const { severity } = auditEventTypes[draft.type]
    const entry = auditEntry({ ...draft, severity, id: eventId, at }, crypto.randomBytes(16))
    return { eventId, organizationId: draft.organizationId, entry }
  }
}
