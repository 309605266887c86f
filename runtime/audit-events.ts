import { type AuditEvent, auditEntry } from '../protocol/log/audit-event.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { newId } from './ids.ts'

export interface LoggedEvent {
  eventId: string
  organizationId: string
  entry: string
}

export type EventDraft = Omit<AuditEvent, 'id' | 'at'>

/** Gives an event its id, time and salt, and its canonical form. */
export type WriteEvent = (draft: EventDraft, at: number) => LoggedEvent

export function createEventWriter(crypto: Primitives): WriteEvent {
  return (draft, at) => {
    const eventId = newId()
    const entry = auditEntry({ ...draft, id: eventId, at }, crypto.randomBytes(16))
    return { eventId, organizationId: draft.organizationId, entry }
  }
}
