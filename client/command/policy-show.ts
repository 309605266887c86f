import { defineCommand } from './define-command.ts'
import { parsePolicyArgument } from './policy-argument.ts'
import { formatTime, printResult, toJson, toList } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const policyShow = defineCommand({
  name: 'policy show',
  positionals: ['NAME[@VERSION]'],
  summary: 'Shows an appraisal policy: the newest version, or the one that is named.',
  flags: {},
  examples: ['qflare policy show edge', 'qflare policy show edge@3'],
  notes: `The hash is that of the event policy.created: SHA3-256 of the document as canonical JSON (RFC 8785), base64url. ${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const { name, version } = parsePolicyArgument(typed)
    const shown = await (await openOperatorOf(values)).getPolicy(name, version)
    const { id, policy, policyHash, createdAt } = shown
    const facts = toList([
      ['policy', id],
      ['made', createdAt === null ? 'built in' : formatTime(createdAt, Date.now())],
      ['hash', policyHash],
    ])
    await printResult(values.json, shown, `${facts}\n\n${toJson(policy, 2)}`)
    return undefined
  },
})
