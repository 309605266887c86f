import type { ApiRole } from '../protocol/api-roles.ts'
import type { PrincipalKind } from '../protocol/enrollment.ts'
import type { AuditEvent } from '../protocol/log/audit-event.ts'

/** Who asks, as far as that was proved. */
export type Caller =
  | { type: 'anonymous' }
  | { type: 'api_token'; id: string; organizationId: string; roles: readonly ApiRole[]; isServiceAdmin: boolean }
  | { type: PrincipalKind; id: string; organizationId: string; sessionId: string }

export type Operator = Extract<Caller, { type: 'api_token' }>
export type SessionCaller = Extract<Caller, { type: PrincipalKind }>

/** An admin may do what an operator may. */
export function hasRole(caller: Caller, role: ApiRole): boolean {
  return caller.type === 'api_token' && (caller.roles.includes(role) || caller.roles.includes('admin'))
}

export function actorOf(caller: Operator | SessionCaller): AuditEvent['actor'] {
  return { type: caller.type, id: caller.id }
}
