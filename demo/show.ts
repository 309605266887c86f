import { randomInt } from 'node:crypto'
import type { QflareAuditor } from '../client/auditor.ts'
import type { QflareOperator } from '../client/operator.ts'
import { proveEnrolment, verifyWholeLog } from './auditing.ts'
import {
  deriveFingerprint,
  enrollCoordinator,
  enrollMember,
  exchangeKeys,
  expectRefusal,
  type Member,
  makeTokens,
  resumeAndExchange,
  revokeMember,
  type Server,
} from './fleet.ts'
import type { StepResult } from './measure-step.ts'
import { showCertificates, showFederation, showRound } from './show-rounds.ts'
import type { Stage } from './stage.ts'
import { createStep, type Step } from './step.ts'

/**
 * The whole story. Gives what came of each step, in order; a step whose items all failed leaves nothing for the next. After
 * `signal` it ends early, and cleans up.
 */
export async function show(
  stage: Stage,
  parts: {
    server: Server
    operator: QflareOperator
    auditor: QflareAuditor
    devices: number
    isKept: boolean
    signal: AbortSignal
  },
): Promise<StepResult[]> {
  const { server, operator, devices, isKept, signal } = parts
  const results: StepResult[] = []
  const step = createStep(stage, results, signal)
  const run = runName()
  const tokens = await step(
    'make enrolment tokens',
    [namesOf(run, devices)],
    (names) => makeTokens(operator, names, 'device'),
    () => `An operator makes ${devices} one-time tokens, in one request.`,
  )
  const members = await step(
    'enrol',
    tokens.flat(),
    (token) => enrollMember(server, token),
    (done) => `${done.length} devices enrol, each with an ML-DSA identity key that it made itself.`,
  )
  const coordinators = await step(
    'enrol a coordinator',
    members.length === 0 ? [] : [`${run}-coordinator`],
    (name) => enrollCoordinator(server, operator, name),
    () => 'A coordinator enrols the same way: it runs the rounds in which the fleet trains.',
  )
  try {
    await showLife(step, { ...parts, members, coordinators })
    await showLog(step, parts, members)
  } finally {
    if (!isKept) {
      // Also after an interruption.
      await createStep(stage, results, new AbortController().signal)(
        'clean up',
        [...members, ...coordinators],
        (member) => revokeMember(operator, member),
        (done) => `All ${done.length} that this demo enrolled are revoked again: the next run begins anew.`,
      )
    }
  }
  return results
}

async function showLife(
  step: Step,
  parts: {
    server: Server
    operator: QflareOperator
    members: readonly Member[]
    coordinators: readonly Member[]
  },
): Promise<void> {
  const { server, operator, members } = parts
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
  const [spent, lost, suspended] = ready
  if (spent === undefined || lost === undefined || suspended === undefined) return
  await step(
    'use a token twice',
    [spent],
    (member) => expectRefusal('A spent token', 'enrollment_refused', () => enrollMember(server, member)),
    () => `The token of ${spent.name} was spent: whoever found it is refused.`,
  )
  const coordinators = await step(
    'exchange as coordinator',
    parts.coordinators,
    exchangeKeys,
    () => 'The coordinator has keys of its own, too.',
  )
  const federation = await showFederation(step, coordinators, ready)
  const first = await showRound(step, federation, { members: ready })
  await showRefusals(step, operator, { lost, suspended })
  const others = ready.filter((member) => member !== lost)
  const second = await showRound(step, federation, { members: others, lost })
  await showCertificates(step, [...first, ...second], server.crypto)
}

async function showRefusals(
  step: Step,
  operator: QflareOperator,
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
    'resume and exchange',
    [suspended],
    (member) => resumeAndExchange(operator, member),
    () => `${suspended.name} was innocent: resumed, with new keys.`,
  )
}

/** What the service says of the past is not believed: it is verified, with the log's key that the root of trust signed. */
async function showLog(
  step: Step,
  { server: { crypto }, auditor }: { server: Server; auditor: QflareAuditor },
  members: readonly Member[],
): Promise<void> {
  if (members.length === 0) return
  const { keys } = await auditor.fetchAuditKeys()
  const auditing = { auditor, crypto, keys }
  await step(
    'prove enrolments',
    members,
    (member) => proveEnrolment(auditing, member),
    (done) => `${done.length} enrolments are in the signed log: each was proven, without believing the service.`,
  )
  await step(
    'verify the log',
    [auditing],
    verifyWholeLog,
    ([report]) => `All ${report?.to} events of the log are what was signed: none was changed, moved or taken out.`,
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
  return Array.from({ length: devices }, (_, index) => `${run}-${String(index + 1).padStart(2, '0')}`)
}
