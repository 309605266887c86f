import { randomInt } from 'node:crypto'
import { attestAs, trustFleet } from './attestation.ts'
import type { Cast } from './cast.ts'
import {
  deriveFingerprint,
  enrollCoordinator,
  enrollMember,
  exchangeKeys,
  expectRefusal,
  type Member,
  makeTokens,
  revokeMember,
  type Server,
} from './fleet.ts'
import type { Provoked } from './incidents.ts'
import type { StepResult } from './measure-step.ts'
import { showFleet } from './show-fleet.ts'
import { showLifeCycle } from './show-life-cycle.ts'
import { showLog } from './show-log.ts'
import { showQuarantine } from './show-quarantine.ts'
import { showCertificates, showFederation, showRound } from './show-rounds.ts'
import { makeSoftwareMachine } from './software-machine.ts'
import type { Stage } from './stage.ts'
import { createStep, type Step } from './step.ts'

export interface Shown {
  /** What came of each step, in order. */
  results: StepResult[]
  /** What the security monitor is going to tell of. */
  provoked: Provoked[]
  /** Of all devices of this run. */
  deviceIds: ReadonlySet<string>
}

/** The whole story. A step whose items all failed leaves nothing for the next. After `signal` it ends early, and cleans up. */
export async function show(
  stage: Stage,
  cast: Cast,
  { devices, isKept, signal }: { devices: number; isKept: boolean; signal: AbortSignal },
): Promise<Shown> {
  const { server, operator, inputs } = cast
  const results: StepResult[] = []
  const provoked: Provoked[] = []
  const step = createStep(stage, results, signal)
  const run = runName()
  const names = namesOf(run, devices)
  const machines = new Map([...names, `${run}-coordinator`].map((name) => [name, makeSoftwareMachine(name)]))
  const machineOf = (name: string) => {
    const machine = machines.get(name)
    if (machine === undefined) throw new Error(`There is no machine of the name ${name}.`)
    return machine
  }
  stage.chapter('Whom to trust')
  const trusted = await step(
    'say whom to trust',
    [[...machines.values()]],
    (all) => trustFleet(cast, all),
    ([fleet]) =>
      `An operator trusts ${fleet?.anchorIds.length} keys in hardware (played by software here), and one release of the firmware.`,
  )
  const tokens = await step(
    'make enrolment tokens',
    trusted,
    ({ policyId }) => makeTokens(operator, names, { kind: 'device', policyId }),
    () => `An operator makes ${devices} one-time tokens, in one request.`,
  )
  const members = await step(
    'enrol',
    tokens.flat(),
    async (token) => enrollMember(server, { ...token, machine: machineOf(token.name) }),
    (done) => `${done.length} devices enrol: an ML-DSA identity key of their own, and evidence of what they booted.`,
  )
  const coordinators = await step(
    'enrol a coordinator',
    members.length === 0 ? [] : trusted,
    async ({ policyId }) => {
      const name = `${run}-coordinator`
      return enrollCoordinator(server, operator, { name, machine: machineOf(name), policyId })
    },
    () => 'A coordinator enrols the same way: it runs the rounds in which the fleet trains.',
  )
  try {
    const quarantined = await showLife(stage, step, { cast, run, members, coordinators, provoked })
    if (members.length > 0) stage.chapter('What can be proven of it')
    await showLog(step, cast, { members, quarantined })
  } finally {
    if (!isKept) {
      // Also after an interruption.
      const cleaning = createStep(stage, results, new AbortController().signal)
      await cleaning(
        'clean up',
        [...members, ...coordinators],
        (member) => revokeMember(operator, member),
        (done) => `All ${done.length} that this demo enrolled are revoked again: the next run begins anew.`,
      )
      await cleaning(
        'forget their keys',
        trusted.flatMap(({ anchorIds }) => anchorIds),
        (id) => inputs.removeTrustAnchor(id),
        (done) => `The ${done.length} keys of their hardware are trusted no more.`,
      )
    }
  }
  return { results, provoked, deviceIds: new Set(members.map(({ deviceId }) => deviceId)) }
}

/** From the first exchange to the last round. Gives the device that was in quarantine meanwhile. */
async function showLife(
  stage: Stage,
  step: Step,
  parts: {
    cast: Cast
    run: string
    members: readonly Member[]
    coordinators: readonly Member[]
    provoked: Provoked[]
  },
): Promise<Member | undefined> {
  const { cast, run, members, provoked } = parts
  const { server, operator } = cast
  if (members.length > 0) stage.chapter('With which keys')
  const ready = await showKeys(step, members, server)
  const [suspended, tampered, lost] = ready
  if (suspended === undefined || tampered === undefined || lost === undefined) return undefined
  await step(
    'use a token twice',
    [suspended],
    async (member) => {
      await expectRefusal('A spent token', 'enrollment_refused', () => enrollMember(server, member))
      provoked.push({ rule: 'enrollment-token-reused', about: `enrollment_token ${member.tokenId}` })
    },
    () => `The token of ${suspended.name} was spent: whoever found it is refused.`,
  )
  await showFleet(step, operator, { run, title: 'see the fleet' })

  stage.chapter('Training')
  const coordinators = await step(
    'exchange as coordinator',
    parts.coordinators,
    async (member) => attestAs(await exchangeKeys(member), 'affirming'),
    () => 'The coordinator has keys of its own, too, and has to be well itself.',
  )
  const federation = await showFederation(step, cast, { coordinators, members: ready })
  const first = await showRound(step, federation, { number: 1, members: ready })

  stage.chapter('One device is not what it was')
  const second = await showQuarantine(step, cast, { run, federation, members: ready, tampered, provoked })

  stage.chapter('Lost, and found again')
  await showLifeCycle(step, cast, { lost, suspended })
  const others = ready.filter((member) => member !== lost)
  const refused = { member: lost, code: 'not_active' }
  const third = await showRound(step, federation, { number: 3, members: others, refused })
  await showCertificates(step, [...first, ...second, ...third], server.crypto)
  await showFleet(step, operator, { run, title: 'see who is left' })
  return tampered
}

/** Gives those that have a session and were found well in it. */
async function showKeys(step: Step, members: readonly Member[], server: Server): Promise<Member[]> {
  const ready = await step(
    'exchange keys',
    members,
    exchangeKeys,
    (done) => `${done.length} exchanges with ML-KEM-1024, every one confirmed by both ends.`,
  )
  const seen = new Set<string>()
  await step(
    'derive keys',
    ready,
    (member) => deriveOwn(member, server, seen),
    (done) =>
      `${done.length} keys, no two alike, and none of them crossed the network: ${done.slice(0, 3).join(', ')} …`,
  )
  await step(
    'prove epoch keys',
    ready,
    (member) => member.device.renewToken(),
    (done) =>
      `${done.length} proofs under the key of this epoch: the service derives the same and gives access tokens.`,
  )
  return step(
    'attest',
    ready,
    (member) => attestAs(member, 'affirming'),
    (done) => `${done.length} devices prove again what they booted, bound to their session: all of them affirming.`,
  )
}

async function deriveOwn(member: Member, { crypto }: Server, seen: Set<string>): Promise<string> {
  const fingerprint = await deriveFingerprint(member, crypto)
  if (seen.has(fingerprint)) throw new Error(`${member.name} has the key of another device.`)
  seen.add(fingerprint)
  return fingerprint
}

/** Of one run, so that a second one beside or after it has others. */
function runName(): string {
  const run = randomInt(36 ** 4)
    .toString(36)
    .padStart(4, '0')
  return `demo-${run}`
}

function namesOf(run: string, devices: number): string[] {
  const digits = Math.max(2, String(devices).length)
  return Array.from({ length: devices }, (_, index) => `${run}-${String(index + 1).padStart(digits, '0')}`)
}
