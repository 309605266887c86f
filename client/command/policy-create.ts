import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { MAX_POLICY_BYTES, parsePolicyArgument, readJsonFile } from './policy-argument.ts'
import { printResult } from './print.ts'
import { unusable } from './regular-file.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const policyCreate = defineCommand({
  name: 'policy create',
  positionals: ['NAME', 'FILE'],
  summary: 'Writes the next version of an appraisal policy: what devices have to prove, and who enrols by it.',
  flags: {},
  examples: ['qflare policy create edge deploy/policies/tpm-strict.json'],
  notes: `A version stays as it is. The same document again is the same version. What tokens and devices name is in policies.md. ${operatorNotes}`,
  async run({ values, positionals: [typed, path = ''] }) {
    const { name, version } = parsePolicyArgument(typed)
    if (version !== undefined) throw usageError('NAME is without a version: versions count up by themselves.')
    const policy = await readJsonFile(path, MAX_POLICY_BYTES)
    if (typeof policy !== 'object' || policy === null) throw unusable(`${path} holds no policy.`)
    const made = await (await openOperatorOf(values)).createPolicy({ name, policy })
    await printResult(
      values.json,
      made,
      `${made.id} is the newest version of ${made.name}, and says what ${path} says.`,
    )
    return undefined
  },
})
