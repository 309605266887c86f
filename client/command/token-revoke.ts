import { confirm, yesFlag } from './confirm.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { printResult } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const tokenRevoke = defineCommand({
  name: 'token revoke',
  positionals: ['ID'],
  summary: 'Revokes an enrolment token that nobody used yet. Repeating it changes nothing.',
  flags: yesFlag,
  examples: ['qflare token revoke 0199b0a4-7e1c-7000-8000-000000000001'],
  notes: `A token that was used is refused (session_state): revoke its device instead.\n\n${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, 'an enrolment token, as qflare token list shows it')
    const operator = await openOperatorOf(values)
    await confirm(values.yes, async () => `Revoke the enrolment token ${id} for good?`)
    await operator.revokeEnrollmentToken(id)
    await printResult(values.json, { id, status: 'revoked' }, `The enrolment token ${id} is revoked.`)
    return undefined
  },
})
