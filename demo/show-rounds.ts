import type { Primitives } from '../protocol/primitives.ts'
import type { Member } from './fleet.ts'
import {
  certifyRound,
  deriveSameKey,
  type Federation,
  foundFederation,
  joinFederation,
  type OpenRound,
  openRound,
  requireRefused,
} from './rounds.ts'
import type { Step } from './step.ts'

/** The federation of the demo; undefined when it could not be made. */
export async function showFederation(
  step: Step,
  coordinators: readonly Member[],
  members: readonly Member[],
): Promise<Federation | undefined> {
  const [federation] = await step(
    'found a federation',
    members.length === 0 ? [] : coordinators,
    foundFederation,
    () => 'A coordinator, enrolled like any device, makes a federation.',
  )
  if (federation === undefined) return undefined
  await step(
    'join it',
    members,
    (member) => joinFederation(federation, member),
    (done) => `${done.length} devices are members of it.`,
  )
  return federation
}

/** One round: the coordinator's keys and the devices' are the same. `lost` is refused, and stops nobody. */
export async function showRound(
  step: Step,
  federation: Federation | undefined,
  { members, lost }: { members: readonly Member[]; lost?: Member },
): Promise<OpenRound[]> {
  const rounds = await step(
    lost === undefined ? 'open a round' : 'open another round',
    federation === undefined ? [] : [federation],
    async (of) => {
      const open = await openRound(of)
      if (lost !== undefined) requireRefused(open, lost, 'not_active')
      return open
    },
    ([open]) =>
      lost === undefined
        ? `Round ${open?.round}: the coordinator asks once and has ${open?.keys.size} keys, sealed to it alone.`
        : `Round ${open?.round}: ${lost.name} is refused, and the others go on, with ${open?.keys.size} keys.`,
  )
  for (const open of rounds) {
    await step(
      lost === undefined ? 'derive round keys' : 'derive them again',
      members,
      (member) => deriveSameKey(open, member),
      (done) => `${done.length} devices derive the very same keys, each its own, by themselves.`,
    )
  }
  return rounds
}

export async function showCertificates(step: Step, rounds: readonly OpenRound[], crypto: Primitives): Promise<void> {
  await step(
    'certify rounds',
    rounds,
    (open) => certifyRound(open, crypto),
    (done) =>
      `${done.length} rounds are closed, and certified: who had which key (${done.map(({ participants }) => participants.length).join(' and ')} devices), verified offline.`,
  )
}
