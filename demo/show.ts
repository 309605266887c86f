import { randomInt } from 'node:crypto'
import type { QflareAuditor } from '../client/auditor.ts'
import type { QflareOperator } from '../client/operator.ts'
import { proveEnrolment, verifyWholeLog } from './auditing.ts'
import {
  deriveFingerprint,
  enrollMember,
  exchangeKeys,
  expectRefusal,
  type Member,
  makeTokens,
  resumeAndExchange,
  revokeMember,
  type Server,
} from './fleet.ts'
import { measureStep, type StepResult } from './measure-step.ts'
import type { Stage } from './stage.ts'

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
  const tokens = await step(
    'make enrolment tokens',
    [runNames(devices)],
    (names) => makeTokens(operator, names),
    () => `An operator makes ${devices} one-time tokens, in one request.`,
  )
  const members = await step(
    'enrol',
    tokens.flat(),
    (token) => enrollMember(server, token),
    (done) => `${done.length} devices enrol, each with an ML-DSA identity key that it made itself.`,
  )
  try {
    await showLife(step, { ...parts, members })
    await showLog(step, parts, members)
  } finally {
    if (!isKept) {
      // Also after an interruption.
      await createStep(stage, results, new AbortController().signal)(
        'clean up',
        members,
        (member) => revokeMember(operator, member),
        (done) => `The ${done.length} devices of this demo are revoked again: the next run begins anew.`,
      )
    }
  }
  return results
}

function createStep(stage: Stage, results: StepResult[], signal: AbortSignal): Step {
  return async (title, items, work, shown) => {
    // What failed before is in the results already.
    if (items.length === 0 || signal.aborted) return []
    const line = stage.step(title, items.length)
    const { done, result } = await measureStep(title, items, work, { onItem: line.advance, signal })
    line.end(result, result.problems.length === 0 ? shown(done) : '')
    results.push(result)
    return done
  }
}

type Step = <I, O>(
  title: string,
  items: readonly I[],
  work: (item: I) => Promise<O>,
  shown: (done: O[]) => string,
) => Promise<O[]>

async function showLife(
  step: Step,
  { server, operator, members }: { server: Server; operator: QflareOperator; members: readonly Member[] },
): Promise<void> {
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
  await showRefusals(step, operator, { lost, suspended })
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
function runNames(devices: number): string[] {
  const run = randomInt(36 ** 4)
    .toString(36)
    .padStart(4, '0')
  return Array.from({ length: devices }, (_, index) => `demo-${run}-${String(index + 1).padStart(2, '0')}`)
}
