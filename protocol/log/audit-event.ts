import { canonicalJson, type Json, toBase64url } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { AuditEventType, AuditSeverity } from './audit-event-types.ts'

/** Organization of events of the service itself, which every auditor reads (docs/protocol.md §7). */
export const NIL_UUID = '00000000-0000-0000-0000-000000000000'
/** Bytes of a leaf's canonical JSON. */
export const MAX_ENTRY_BYTES = 65_535

export interface AuditEvent {
  /** UUIDv7. */
  id: string
  /** Milliseconds since the Unix epoch. */
  at: number
  organizationId: string
  actor: { type: 'device' | 'coordinator' | 'api_token' | 'enrollment_token' | 'service'; id: string }
  type: AuditEventType
  /** That of the type. */
  severity: AuditSeverity
  /** What it happened to, by id. */
  subject: { [key: string]: Json }
  /** No secret, no key, no token, no address. */
  data: { [key: string]: Json }
  requestId: string
}

/** The bytes of the leaf, as text. `salt`: 16 random bytes, so that a leaf's hash confirms no guess. */
export function auditEntry(event: AuditEvent, salt: Uint8Array): string {
  const entry = canonicalJson({ v: 1, ...event, salt: toBase64url(salt) })
  if (new TextEncoder().encode(entry).length > MAX_ENTRY_BYTES) {
    throw new ProtocolError(
      'encoding_invalid',
      `An event of type ${event.type} is longer than ${MAX_ENTRY_BYTES} bytes.`,
    )
  }
  return entry
}
