import {
  type IncidentDeviceName,
  listRespondedDevices,
  markResponded,
  markWithheld,
} from '../../database/repositories/incidents.ts'
import { lockActivePrincipals } from '../../database/repositories/lock-active-principals.ts'
import {
  markAttestationRequired,
  markPrincipalSlowed,
  markPrincipalSuspended,
  markSessionsEnded,
} from '../../database/repositories/principals.ts'
import { insertRevocation } from '../../database/repositories/revocations.ts'
import { listUnendedSessions, revokeSession } from '../../database/repositories/sessions.ts'
import { sessionStateAt } from '../../protocol/exchange/session-states.ts'
import type { ResponseName } from '../../protocol/monitor/rules.ts'
import type { EffectiveRule } from '../../protocol/monitor/settings.ts'
import { isEndByTime } from '../../runtime/ends-by-time.ts'
import type { Judgement } from './judge-entries.ts'

const LIMIT_MS = 3_600_000

/** Devices that came new into an incident. */
export interface Suspects {
  rule: EffectiveRule
  incidentId: string
  devices: readonly string[]
}

/**
 * Does with devices that came new into incidents what the organization wants, once for each device of an incident: whoever undoes it
 * is not overruled. Of more devices than it allows within an hour an alarm is all that becomes, so that nobody locks a fleet out by
 * making it look bad; one that was responded to is the same device in its next incident, so that it takes no other's place.
 */
export async function respond(judgement: Judgement, suspects: readonly Suspects[]): Promise<void> {
  const { tx, settings, now } = judgement
  const wanted = suspects.flatMap(({ rule: { name, response }, incidentId, devices }) =>
    response === 'none' || devices.length === 0 ? [] : [{ name, response, incidentId, devices }],
  )
  if (wanted.length === 0) return
  // All of them, of all incidents, in one order: the first suspension makes the organization's other changes wait until the commit.
  const active = new Set(await lockActivePrincipals(tx, [...new Set(wanted.flatMap(({ devices }) => devices))]))
  const responded = new Set(await listRespondedDevices(tx, now - LIMIT_MS))
  const withheld: Record<'dry_run' | 'limit', IncidentDeviceName[]> = { dry_run: [], limit: [] }
  for (const { name, response, incidentId, devices } of wanted) {
    for (const deviceId of devices.filter((id) => active.has(id)).toSorted()) {
      const isOver = responded.size + (responded.has(deviceId) ? 0 : 1) > settings.responsesPerHour
      const because = settings.dryRun ? 'dry_run' : isOver ? 'limit' : undefined
      const subject = { incidentId, deviceId }
      if (because !== undefined) {
        withheld[because].push(subject)
        judgement.tell({ type: 'incident.response_withheld', subject, data: { rule: name, response, because } })
        continue
      }
      responded.add(deviceId)
      const sessions = await take[response](judgement, deviceId)
      if (response === 'suspend') active.delete(deviceId)
      await markResponded(tx, subject, response, now)
      judgement.tell({ type: 'incident.responded', subject, data: { rule: name, response, sessions } })
    }
  }
  for (const because of ['dry_run', 'limit'] as const) await markWithheld(tx, withheld[because], because)
}

/** What each response does with a device that is ACTIVE and locked. How many sessions ended with it. */
const take: Record<Exclude<ResponseName, 'none'>, (judgement: Judgement, deviceId: string) => Promise<number>> = {
  async slow({ tx, settings, now, tell }, deviceId) {
    const until = await markPrincipalSlowed(tx, deviceId, now + settings.slowMinutes * 60_000)
    tell({ type: 'device.slowed', subject: { deviceId }, data: { until } })
    return 0
  },
  async require_attestation({ tx, now, tell }, deviceId) {
    await markAttestationRequired(tx, deviceId, now)
    tell({ type: 'device.attestation_required', subject: { deviceId }, data: {} })
    return 0
  },
  async revoke_sessions(judgement, deviceId) {
    const sessions = await endSessions(judgement, deviceId)
    await markSessionsEnded(judgement.tx, deviceId)
    return sessions
  },
  async suspend(judgement, deviceId) {
    const { tx, now, tell } = judgement
    const sessions = await endSessions(judgement, deviceId)
    await markPrincipalSuspended(tx, deviceId)
    await insertRevocation(tx, { principalId: deviceId, status: 'SUSPENDED' }, now)
    tell({ type: 'device.suspended', subject: { deviceId }, data: { sessions } })
    return sessions
  },
}

async function endSessions({ tx, now, tell }: Judgement, deviceId: string): Promise<number> {
  // Of one that time has ended the job of that tells, as that.
  const open = (await listUnendedSessions(tx, deviceId)).filter((session) => !isEndByTime(sessionStateAt(session, now)))
  for (const { id: sessionId } of open) {
    await revokeSession(tx, sessionId, now)
    tell({ type: 'session.revoked', subject: { deviceId, sessionId }, data: { with: 'incident' } })
  }
  return open.length
}
