import { attestAs } from './attestation.ts'
import type { Cast } from './cast.ts'
import { exchangeKeys, expectRefusal, type Member, resumeAndExchange } from './fleet.ts'
import type { Step } from './step.ts'

/** What an operator decides: one device is lost for good, one is out for a while. */
export async function showLifeCycle(
  step: Step,
  { operator }: Cast,
  { lost, suspended }: { lost: Member; suspended: Member },
): Promise<void> {
  await step(
    'revoke',
    [lost],
    (member) => operator.revokeDevice(member.deviceId),
    () => `${lost.name} is lost: revoked.`,
  )
  await step(
    'exchange, revoked',
    [lost],
    (member) => expectRefusal(member.name, 'exchange_refused', () => exchangeKeys(member)),
    () => `${lost.name} exchanges no more: refused, as if it had never been.`,
  )
  await step(
    'suspend',
    [suspended],
    (member) => operator.suspendDevice(member.deviceId),
    () => `${suspended.name} behaves oddly: suspended.`,
  )
  await step(
    'exchange, suspended',
    [suspended],
    (member) => expectRefusal(member.name, 'exchange_refused', () => exchangeKeys(member)),
    () => `${suspended.name} is refused as well, for now.`,
  )
  await step(
    'resume',
    [suspended],
    async (member) => attestAs(await resumeAndExchange(operator, member), 'affirming'),
    () => `${suspended.name} was innocent: resumed, with new keys and fresh evidence.`,
  )
}
