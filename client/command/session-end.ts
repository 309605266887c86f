import { confirm, yesFlag } from './confirm.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { printResult } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const sessionEnd = defineCommand({
  name: 'session end',
  positionals: ['ID'],
  summary: 'Ends a session: its keys and access tokens are worth nothing any more. The device may exchange anew.',
  flags: yesFlag,
  examples: ['qflare session end 0199b0a4-7e1c-7000-8000-000000000001'],
  notes: `A session that has ended already is refused (session_state).\n\n${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, 'a session, as qflare session list shows it')
    const operator = await openOperatorOf(values)
    await confirm(values.yes, async () => `End the session ${id}?`)
    await operator.endSession(id)
    await printResult(values.json, { id, state: 'REVOKED' }, `The session ${id} is ended.`)
    return undefined
  },
})
