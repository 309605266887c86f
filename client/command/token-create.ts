import { principalKinds } from '../../protocol/enrollment.ts'
import type { QflareOperator } from '../operator.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { durationFlag, labelFlag, labelsFlag, nameFlag, policyFlag } from './parse-values.ts'
import { formatTime, printNewSecret, printResult } from './print.ts'
import { keepNewSecret } from './secret-file.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'
import { createTokensOf } from './token-bulk.ts'

export const tokenCreate = defineCommand({
  name: 'token create',
  summary: 'Makes an enrolment token, good for one device, and prints it this once; with --from one for each line.',
  flags: {
    kind: { type: 'string', value: 'KIND', choices: principalKinds, default: 'device', help: 'of what may enrol' },
    name: { ...nameFlag, help: 'the only name that may enrol with it; default: any' },
    type: { ...labelFlag, help: 'what the device is: 1 to 64 of a-z, 0-9, ".", "_" and "-"' },
    capabilities: { ...labelsFlag, help: 'what it can do: at most 32 labels as of --type' },
    policy: { ...policyFlag, help: 'what it has to prove; default: none, which is its key alone' },
    ttl: { ...durationFlag, help: 'how long it may be used: 60 s to 30 d, default 1 d' },
    out: { type: 'string', value: 'FILE', help: 'write the token, or those of --from, to a new file of mode 0600' },
    from: { type: 'string', value: 'FILE', help: 'a file with a line for each token: .csv or .jsonl; needs --out' },
    continue: { type: 'boolean', help: 'go on with a --from that was interrupted' },
  },
  examples: [
    'qflare token create | qflare enroll',
    'qflare token create --name edge-1 --type camera --ttl 2h --out device.token',
    'qflare token create --from fleet.csv --out fleet-tokens.csv --ttl 7d',
  ],
  notes: `A .csv has a header with some of name, type, capabilities (between semicolons) and kind; a .jsonl has an object of these on each line. Every line is checked before the first token is made. What is made goes to FILE.partial batch by batch, and FILE appears when it is complete; after an interruption the same command with --continue goes on. One process at a time makes a FILE (FILE.lock).\nNames stand in a .csv as they were given: a spreadsheet may take one that begins with = for a formula.\n\n${operatorNotes}`,
  async run({ values }) {
    const { from, out, name, type, capabilities, kind, policy: policyId, ttl: ttlSeconds, json } = values
    if (from === undefined) {
      if (values.continue === true) throw usageError('--continue belongs to --from.')
      const make = async () => {
        const operator = await openOperatorOf(values)
        return operator.createEnrollmentToken({ kind, name, type, capabilities, policyId, ttlSeconds })
      }
      await createOne({ kind, name, type, capabilities }, make, { out, json })
      return undefined
    }
    if (out === undefined) throw usageError('--from needs --out: a file for the tokens.')
    if ([name, type, capabilities].some((value) => value !== undefined)) {
      throw usageError('--name, --type and --capabilities are columns of the file of --from.')
    }
    const order = { from, out, kind, policyId, ttlSeconds, isContinued: values.continue === true }
    const { tokens, continuedAt } = await createTokensOf(order, () => openOperatorOf(values))
    const before = continuedAt === 0 ? '' : `, ${continuedAt} of them from the run before`
    await printResult(
      json,
      { tokens, continuedAt, file: out },
      `${tokens} tokens are in ${out}${before}. Each serves one enrolment.`,
    )
    return undefined
  },
})

async function createOne(
  wish: { kind: string; name: string | undefined; type: string | undefined; capabilities: string[] | undefined },
  make: () => ReturnType<QflareOperator['createEnrollmentToken']>,
  { out, json }: { out: string | undefined; json: boolean | undefined },
): Promise<void> {
  const { id, token, expiresAt } = await keepNewSecret(out, make)
  const shown = { id, expiresAt, ...wish }
  const note = `It serves one enrolment and expires ${formatTime(expiresAt, Date.now())}.`
  if (out === undefined) {
    await printNewSecret(json, { ...shown, token }, token, `qflare token revoke ${id}`)
    if (json !== true) console.error(`The token is on stdout, this once. ${note}`)
  } else {
    await printResult(json, { ...shown, file: out }, `The token is in ${out}. ${note}`)
  }
}
