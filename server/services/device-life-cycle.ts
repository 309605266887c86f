import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  lockPrincipal,
  markPrincipalCleared,
  markPrincipalResumed,
  markPrincipalRevoked,
  markPrincipalSuspended,
  markRestrictionsLifted,
} from '../../database/repositories/principals.ts'
import { insertRevocation } from '../../database/repositories/revocations.ts'
import type { PrincipalStatus } from '../../protocol/enrollment.ts'
import type { ResponseName } from '../../protocol/monitor/rules.ts'
import type { Happening, LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'
import { type Device, getDevice, notFound } from './devices.ts'
import { endOpenSessions } from './end-open-sessions.ts'

export type DeviceLifeCycle = ReturnType<typeof createDeviceLifeCycle>

interface Step {
  /** A device that is there already stays as it is. */
  to: PrincipalStatus
  /** Undefined: from every other status. */
  from: PrincipalStatus | undefined
  mark: (tx: Tx, id: string, now: number) => Promise<void>
  /** `sessions`: how many ended with it. */
  happening: (
    deviceId: string,
    sessions: number,
  ) => Happening<'device.suspended' | 'device.resumed' | 'device.quarantine_cleared' | 'device.revoked'>
}

// Only what was ACTIVE is suspended: resuming must not be the back door out of a quarantine.
const suspension: Step = {
  to: 'SUSPENDED',
  from: 'ACTIVE',
  mark: markPrincipalSuspended,
  happening: (deviceId, sessions) => ({ type: 'device.suspended', subject: { deviceId }, data: { sessions } }),
}
const resumption: Step = {
  to: 'ACTIVE',
  from: 'SUSPENDED',
  mark: markPrincipalResumed,
  happening: (deviceId) => ({ type: 'device.resumed', subject: { deviceId }, data: {} }),
}
/** The only way out of a quarantine: a person has looked at what was found. */
const clearance: Step = {
  to: 'ACTIVE',
  from: 'QUARANTINED',
  mark: markPrincipalCleared,
  happening: (deviceId) => ({ type: 'device.quarantine_cleared', subject: { deviceId }, data: {} }),
}
const revocation: Step = {
  to: 'REVOKED',
  from: undefined,
  mark: markPrincipalRevoked,
  happening: (deviceId, sessions) => ({ type: 'device.revoked', subject: { deviceId }, data: { sessions } }),
}

/**
 * What an operator does with a device, each in one transaction, each the same when it is repeated: a device that is there
 * already is answered as it is, without an event. From another status than a step begins at: `session_state`.
 */
export function createDeviceLifeCycle(parts: { database: Database; clock: Clock; writeEvent: WriteEvent }) {
  function take(step: Step) {
    return (operator: Operator, id: string, requestId: string): Promise<Device> =>
      changeAs(parts, operator, async (tx, now) => {
        const locked = await lockPrincipal(tx, id)
        if (locked === undefined) throw notFound()
        if (locked.status === step.to) return getDevice(tx, id)
        if (step.from !== undefined && locked.status !== step.from) {
          throw new ServiceError('session_state', `The device is ${locked.status}.`)
        }
        const { organizationId } = operator
        const party = { organizationId, principalId: id, requestId }
        const { revokedIds: sessionIds, ended } = await endOpenSessions(parts.writeEvent, tx, party, now)
        await step.mark(tx, id, now)
        await insertRevocation(tx, { principalId: id, status: step.to }, now)
        const events = eventsOf(parts.writeEvent, { step, operator, id, sessionIds, requestId, now })
        await insertEvents(tx, [...ended, ...events])
        return getDevice(tx, id)
      })
  }

  function liftRestrictions(operator: Operator, id: string, requestId: string): Promise<Device> {
    return changeAs(parts, operator, async (tx, now) => {
      if ((await lockPrincipal(tx, id)) === undefined) throw notFound()
      const device = await getDevice(tx, id)
      const restrictions = restrictionsOf(device, now)
      if (restrictions.length === 0) return device
      await markRestrictionsLifted(tx, id)
      const event = parts.writeEvent(
        {
          organizationId: operator.organizationId,
          actor: actorOf(operator),
          type: 'device.restrictions_lifted',
          subject: { deviceId: id },
          data: { restrictions },
          requestId,
        },
        now,
      )
      await insertEvents(tx, [event])
      return getDevice(tx, id)
    })
  }

  return {
    /** With its sessions, until it is resumed. */
    suspend: take(suspension),
    /** It may exchange again; the sessions of before stay revoked. */
    resume: take(resumption),
    /** Out of its quarantine: it may exchange again, and has to attest again where that is asked for. */
    clearQuarantine: take(clearance),
    /** What the security monitor holds it to: it asks as often as any other, and need not attest first. */
    liftRestrictions,
    /** With its keys and sessions, for good. */
    revoke: take(revocation),
  }
}

/** Those that are not over, by the responses that they came from. */
function restrictionsOf({ slowedUntil, attestationRequiredSince }: Device, now: number): ResponseName[] {
  return [
    ...(now < (slowedUntil ?? 0) ? (['slow'] as const) : []),
    ...(attestationRequiredSince === undefined ? [] : (['require_attestation'] as const)),
  ]
}

function eventsOf(
  writeEvent: WriteEvent,
  taken: { step: Step; operator: Operator; id: string; sessionIds: string[]; requestId: string; now: number },
): LoggedEvent[] {
  const { step, operator, id, sessionIds, requestId, now } = taken
  const { organizationId } = operator
  const shared = { organizationId, actor: actorOf(operator), requestId }
  return [
    ...sessionIds.map((sessionId) =>
      writeEvent(
        { ...shared, type: 'session.revoked', subject: { deviceId: id, sessionId }, data: { with: 'device' } },
        now,
      ),
    ),
    writeEvent({ ...shared, ...step.happening(id, sessionIds.length) }, now),
  ]
}
