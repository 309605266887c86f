import type { ApiRole } from '../protocol/api-roles.ts'
import type { PrincipalKind } from '../protocol/enrollment.ts'
import type { AuditEvent } from '../protocol/log/audit-event.ts'
import type { LogFields } from '../runtime/logger.ts'

/** Who asks, as far as that was proved. */
export type Caller =
  | { type: 'anonymous' }
  | { type: 'api_token'; id: string; organizationId: string; roles: readonly ApiRole[]; isServiceAdmin: boolean }
  /** `expiresAt`: of the access token; `isSlowed`: by the security monitor, where its session was looked up. */
  | {
      type: PrincipalKind
      id: string
      organizationId: string
      sessionId: string
      expiresAt: number
      isSlowed?: boolean
    }

export type Operator = Extract<Caller, { type: 'api_token' }>
export type SessionCaller = Extract<Caller, { type: PrincipalKind }>

/** An admin may do what an operator may. */
export function hasRole(caller: Caller, role: ApiRole): boolean {
  return caller.type === 'api_token' && (caller.roles.includes(role) || caller.roles.includes('admin'))
}

export function actorOf(caller: Operator | SessionCaller): AuditEvent['actor'] {
  return { type: caller.type, id: caller.id }
}

/** Who asked, for a line of the log. A coordinator is a device there. */
export function logFieldsOf(caller: Caller): LogFields {
  if (caller.type === 'anonymous') return {}
  const { organizationId, id } = caller
  return caller.type === 'api_token' ? { organizationId, apiTokenId: id } : { organizationId, deviceId: id }
}
