import type { Tx } from '../../database/open.ts'
import { markPrincipalQuarantined } from '../../database/repositories/principals.ts'
import { insertRevocation } from '../../database/repositories/revocations.ts'
import { tierOfValue } from '../../protocol/attestation/appraisal.ts'
import type { LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import type { Appraisal } from './appraise-evidence.ts'
import { endOpenSessions } from './end-open-sessions.ts'
import { type SessionActor, sessionEvent } from './session-events.ts'

/**
 * A device whose evidence speaks against it: QUARANTINED until an operator clears it, its sessions REVOKED, and nobody else touched.
 * The principal's row is locked by the caller, who stores these events as its last statement.
 */
export async function quarantineDevice(
  writeEvent: WriteEvent,
  tx: Tx,
  actor: SessionActor,
  because: { attestationId: string; appraisal: Appraisal },
  now: number,
): Promise<LoggedEvent[]> {
  const { organizationId, principal, requestId } = actor
  const party = { organizationId, principalId: principal.id, requestId }
  const { revokedIds, ended } = await endOpenSessions(writeEvent, tx, party, now)
  await markPrincipalQuarantined(tx, principal.id)
  await insertRevocation(tx, { principalId: principal.id, status: 'QUARANTINED' }, now)
  const revoked = { type: 'session.revoked', data: { with: 'quarantine' } } as const
  const quarantined = writeEvent(
    {
      organizationId,
      actor: { type: principal.kind, id: principal.id },
      type: 'device.quarantined',
      subject: { deviceId: principal.id },
      data: {
        attestationId: because.attestationId,
        policyId: because.appraisal.policyId,
        checks: contraindicatedChecks(because.appraisal),
        sessions: revokedIds.length,
      },
      requestId,
    },
    now,
  )
  return [...ended, ...revokedIds.map((id) => sessionEvent(writeEvent, actor, revoked, id, now)), quarantined]
}

function contraindicatedChecks({ appraisals }: Appraisal): string[] {
  const findings = Object.values(appraisals).flatMap((appraisal) => appraisal.findings)
  const bad = findings.filter(({ value }) => tierOfValue(value) === 'contraindicated')
  return [...new Set(bad.map(({ check }) => check))]
}
