import type { Json } from '../../protocol/encoding.ts'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import type { AuditEventType } from '../../protocol/log/audit-event.ts'
import type { LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'

/** Who acts in which request, for the events of one transaction. */
export interface SessionActor {
  organizationId: string
  principal: { id: string; kind: PrincipalKind }
  requestId: string
}

/** An event of a session that its own device caused. */
export function sessionEvent(
  writeEvent: WriteEvent,
  actor: SessionActor,
  type: Extract<AuditEventType, `session.${string}`>,
  sessionId: string,
  at: number,
  data: { [key: string]: Json } = {},
): LoggedEvent {
  return writeEvent(
    {
      organizationId: actor.organizationId,
      actor: { type: actor.principal.kind, id: actor.principal.id },
      type,
      severity: type === 'session.failed' ? 'warning' : 'info',
      subject: { deviceId: actor.principal.id, sessionId },
      data,
      requestId: actor.requestId,
    },
    at,
  )
}
