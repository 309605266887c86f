import { attestTampered, clearAndReturn } from './attestation.ts'
import type { Cast } from './cast.ts'
import { exchangeKeys, expectRefusal, type Member } from './fleet.ts'
import type { Provoked } from './incidents.ts'
import { deriveSameKey, type Federation, joinLate, type OpenRound } from './rounds.ts'
import { showFleet } from './show-fleet.ts'
import { showRound } from './show-rounds.ts'
import type { Step } from './step.ts'

/** One device is not what it was: it is out, the others train on, and it comes back when it is well. Gives the round. */
export async function showQuarantine(
  step: Step,
  { operator, attestations }: Cast,
  parts: {
    run: string
    federation: Federation | undefined
    members: readonly Member[]
    tampered: Member
    provoked: Provoked[]
  },
): Promise<OpenRound[]> {
  const { run, federation, members, tampered, provoked } = parts
  await step(
    'attest, tampered',
    [tampered],
    async (member) => {
      const checks = await attestTampered({ operator, attestations }, member)
      provoked.push({ rule: 'attestation-failed', deviceId: member.deviceId })
      return checks
    },
    ([checks = []]) =>
      `${tampered.name} boots what nobody released, and its hardware says so: contraindicated (${checks.join(', ')}), quarantined.`,
  )
  await step(
    'exchange, quarantined',
    [tampered],
    (member) => expectRefusal(member.name, 'exchange_refused', () => exchangeKeys(member)),
    () => 'Its session is over, and it gets no other one.',
  )
  await showFleet(step, operator, { run, title: 'see who is out' })
  const others = members.filter((member) => member !== tampered)
  const open = await showRound(step, federation, {
    number: 2,
    members: others,
    refused: { member: tampered, code: 'quarantined' },
  })
  const returned = await step(
    'clear it',
    [tampered],
    (member) => clearAndReturn(operator, member),
    () => 'It boots the release again, and an operator clears it: new session, fresh evidence, affirming.',
  )
  const joined = await step(
    'join late',
    returned.length === 0 ? [] : open,
    (round) => returnTo(round, tampered),
    () => `${tampered.name} is in round 2 again, with a key that the coordinator has too.`,
  )
  return joined.length === 0 ? open : joined
}

async function returnTo(round: OpenRound, member: Member): Promise<OpenRound> {
  const open = await joinLate(round, member)
  await deriveSameKey(open, member)
  return open
}
