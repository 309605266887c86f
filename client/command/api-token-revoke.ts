import { confirm, yesFlag } from './confirm.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { printResult } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const apiTokenRevoke = defineCommand({
  name: 'api-token revoke',
  positionals: ['ID'],
  summary: 'Revokes an API token, at once and for good. Repeating it changes nothing.',
  flags: yesFlag,
  examples: ['qflare api-token revoke 0199b0a4-7e1c-7000-8000-000000000001'],
  notes: `ID is the one that api-token list shows; it is also in the token: qf_<id>.…\nOnly an admin may do this.\n\n${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, 'an API token, as qflare api-token list shows it')
    const operator = await openOperatorOf(values)
    await confirm(values.yes, async () => `Revoke the API token ${id} for good?`)
    await operator.revokeApiToken(id)
    await printResult(values.json, { id, status: 'revoked' }, `The API token ${id} is revoked.`)
    return undefined
  },
})
