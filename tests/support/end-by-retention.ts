import { createEventWriter } from '../../runtime/audit-events.ts'
import { pruneAttestations } from '../../workers/jobs/prune-attestations.ts'
import { pruneEnrollmentTokens } from '../../workers/jobs/prune-enrollment-tokens.ts'
import { pruneIncidents } from '../../workers/jobs/prune-incidents.ts'
import { call, createToken, enrollTestDevice } from './api.ts'
import { ageResult, beginInOldWeeks, OLD_WEEKS } from './attestation-partitions.ts'
import { addIncident } from './incidents.ts'
import { crypto, type TestService } from './service.ts'

/** All that a retention ends, each with its event, but sessions. */
export async function endByRetention(service: TestService): Promise<void> {
  const { sql } = service.database
  const { now } = service.time
  const shared = { database: service.database.open('qflare_worker', 1), writeEvent: createEventWriter(crypto) }
  await beginInOldWeeks(sql)
  const { deviceId } = await enrollTestDevice(service)
  await ageResult(sql, deviceId, Date.parse(OLD_WEEKS[0]))
  const ofAttestations = { ...shared, attestationRetentionDays: 400 }
  const dropped = await pruneAttestations(ofAttestations, now)
  await call(service, 'POST', `/v1/devices/${deviceId}/revoke`, { token: service.adminToken, body: {} })
  await pruneAttestations(ofAttestations, now)
  await createToken(service)
  const tokens = await pruneEnrollmentTokens(shared, now + 400 * 86_400_000)
  await addIncident(service, { status: 'RESOLVED' })
  const deleted = await pruneIncidents({ ...shared, incidentRetentionDays: -1 }, now)
  if (dropped.length !== 3 || tokens === 0 || deleted === 0) throw new Error('Nothing was old.')
}
