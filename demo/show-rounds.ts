import type { Primitives } from '../protocol/primitives.ts'
import type { Cast } from './cast.ts'
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
  { federations }: Cast,
  { coordinators, members }: { coordinators: readonly Member[]; members: readonly Member[] },
): Promise<Federation | undefined> {
  const [federation] = await step(
    'found a federation',
    members.length === 0 ? [] : coordinators,
    foundFederation,
    () => 'The coordinator makes a federation that takes nobody but who was found well within ten minutes.',
  )
  if (federation === undefined) return undefined
  await step(
    'join it',
    members,
    (member) => joinFederation(federations, federation, member),
    (done) => `An operator makes ${done.length} devices members of it.`,
  )
  return federation
}

/** One round: the coordinator's keys and the devices' are the same. Who is `refused` stops nobody. */
export async function showRound(
  step: Step,
  federation: Federation | undefined,
  parts: { number: number; members: readonly Member[]; refused?: { member: Member; code: string } },
): Promise<OpenRound[]> {
  const { number, members, refused } = parts
  const rounds = await step(
    `open round ${number}`,
    federation === undefined ? [] : [federation],
    async (of) => {
      const open = await openRound(of)
      if (refused !== undefined) requireRefused(open, refused.member, refused.code)
      return open
    },
    ([open]) =>
      refused === undefined
        ? `Round ${open?.round}: the coordinator asks once and has ${open?.keys.size} keys, sealed to it alone.`
        : `Round ${open?.round}: ${refused.member.name} is refused (${refused.code}), and the others go on, with ${open?.keys.size} keys.`,
  )
  for (const open of rounds) {
    await step(
      `derive keys of ${number}`,
      members,
      (member) => deriveSameKey(open, member),
      (done) => `${done.length} devices derive the very same keys, each its own, by themselves.`,
    )
  }
  return rounds
}

export async function showCertificates(step: Step, rounds: readonly OpenRound[], crypto: Primitives): Promise<void> {
  const list = new Intl.ListFormat('en-GB')
  await step(
    'certify rounds',
    rounds,
    (open) => certifyRound(open, crypto),
    (done) =>
      `${done.length} rounds are closed, and certified: who had which key (${list.format(done.map(({ participants }) => String(participants.length)))} devices), verified offline.`,
  )
}
