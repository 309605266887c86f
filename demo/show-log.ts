import { proveEvent, verifyWholeLog } from './auditing.ts'
import type { Cast } from './cast.ts'
import type { Member } from './fleet.ts'
import type { Step } from './step.ts'

/** What the service says of the past is not believed: it is verified, with the log's key that the root of trust signed. */
export async function showLog(
  step: Step,
  { server: { crypto }, auditor }: Cast,
  { members, quarantined }: { members: readonly Member[]; quarantined: Member | undefined },
): Promise<void> {
  if (members.length === 0) return
  const { keys } = await auditor.fetchAuditKeys()
  const auditing = { auditor, crypto, keys }
  await step(
    'prove enrolments',
    members,
    (member) => proveEvent(auditing, 'device.enrolled', member),
    (done) => `${done.length} enrolments are in the signed log: each was proven, without believing the service.`,
  )
  await step(
    'prove the quarantine',
    quarantined === undefined ? [] : [quarantined],
    (member) => proveEvent(auditing, 'device.quarantined', member),
    ([index]) => `So is the quarantine of ${quarantined?.name}: entry ${index}.`,
  )
  await step(
    'verify the log',
    [auditing],
    verifyWholeLog,
    ([report]) => `All ${report?.to} events of the log are what was signed: none was changed, moved or taken out.`,
  )
}
