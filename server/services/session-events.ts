import type { PrincipalKind } from '../../protocol/enrollment.ts'
import type { AuditEventType } from '../../protocol/log/audit-event-types.ts'
import type { Happening, LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'

/** Who acts in which request, for the events of one transaction. */
export interface SessionActor {
  organizationId: string
  principal: { id: string; kind: PrincipalKind }
  requestId: string
}

/** What became of a session. */
type SessionChange = PickOfEach<Happening<Extract<AuditEventType, `session.${string}`>>, 'type' | 'data'>
type PickOfEach<Union, Names extends keyof Union> = Union extends unknown ? Pick<Union, Names> : never

export const timedOut = { type: 'session.timed_out', data: {} } as const satisfies SessionChange
export const failed = { type: 'session.failed', data: {} } as const satisfies SessionChange

/** An event of a session that its own device caused. */
export function sessionEvent(
  writeEvent: WriteEvent,
  actor: SessionActor,
  change: SessionChange,
  sessionId: string,
  at: number,
): LoggedEvent {
  return writeEvent(
    {
      organizationId: actor.organizationId,
      actor: { type: actor.principal.kind, id: actor.principal.id },
      ...change,
      subject: { deviceId: actor.principal.id, sessionId },
      requestId: actor.requestId,
    },
    at,
  )
}
