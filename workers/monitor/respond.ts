import { countResponses, type Incident, markIncidentDevice } from '../../database/repositories/incidents.ts'
import { lockPrincipal, markPrincipalSuspended, markSessionsEnded } from '../../database/repositories/principals.ts'
import { insertRevocation } from '../../database/repositories/revocations.ts'
import { listUnendedSessions, revokeSession } from '../../database/repositories/sessions.ts'
import { sessionStateAt } from '../../protocol/exchange/session-states.ts'
import type { EffectiveRule } from '../../protocol/monitor/settings.ts'
import { isEndByTime } from '../../runtime/ends-by-time.ts'
import type { Judgement } from './judge-entries.ts'

const LIMIT_MS = 3_600_000

/**
 * Does with devices that came new into an incident what the organization wants, once for each device of an incident: whoever undoes it
 * is not overruled. Of more devices than it allows within an hour an alarm is all that becomes, so that nobody locks a fleet out by
 * making it look bad.
 */
export async function respond(
  judgement: Judgement,
  { name: rule, response }: EffectiveRule,
  { id: incidentId }: Incident,
  devices: readonly string[],
): Promise<void> {
  const { tx, settings, now } = judgement
  if (response === 'none' || devices.length === 0) return
  let room = settings.responsesPerHour - (await countResponses(tx, now - LIMIT_MS))
  // All of them, in one order, before what the organization's other changes wait for.
  const active: string[] = []
  for (const deviceId of devices.toSorted()) {
    if ((await lockPrincipal(tx, deviceId))?.status === 'ACTIVE') active.push(deviceId)
  }
  for (const deviceId of active) {
    const because = settings.dryRun ? 'dry_run' : room <= 0 ? 'limit' : undefined
    if (because !== undefined) {
      await markIncidentDevice(tx, { incidentId, deviceId }, { withheld: because })
      judgement.tell({
        type: 'incident.response_withheld',
        subject: { incidentId, deviceId },
        data: { rule, response, because },
      })
      continue
    }
    room -= 1
    const sessions = await endSessions(judgement, deviceId)
    if (response === 'suspend') {
      await markPrincipalSuspended(tx, deviceId)
      await insertRevocation(tx, { principalId: deviceId, status: 'SUSPENDED' }, now)
      judgement.tell({ type: 'device.suspended', subject: { deviceId }, data: { sessions } })
    } else await markSessionsEnded(tx, deviceId)
    await markIncidentDevice(tx, { incidentId, deviceId }, { response, respondedAt: now })
    judgement.tell({
      type: 'incident.responded',
      subject: { incidentId, deviceId },
      data: { rule, response, sessions },
    })
  }
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
