import { policySchema } from '../../protocol/attestation/policy-schema.ts'
import { defineCommand } from './define-command.ts'
import { toJson } from './print.ts'
import { printLine } from './stdout.ts'

export const policySchemaCommand = defineCommand({
  name: 'policy schema',
  summary: 'Prints the JSON schema of an appraisal policy, for editors: with and without --json.',
  isLocal: true,
  flags: {},
  examples: ['qflare policy schema > policy.schema.json'],
  async run() {
    await printLine(toJson(policySchema(), 2))
    return undefined
  },
})
