import { defineCommand } from './define-command.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const policyList = defineCommand({
  name: 'policy list',
  summary:
    'Lists the appraisal policies by their names, each with its newest version; none is built in, and not among them.',
  flags: listFlags,
  examples: ['qflare policy list'],
  notes: `${listNotes}\n\n${operatorNotes}`,
  async run({ values }) {
    const operator = await openOperatorOf(values)
    const now = Date.now()
    await printList(values, {
      what: 'policies',
      read: (page) => operator.listPolicies(page),
      columns: {
        ID: ({ id }) => id,
        MADE: ({ createdAt }) => (createdAt === null ? '' : formatTime(createdAt, now)),
        DESCRIPTION: ({ policy: { description } }) => (typeof description === 'string' ? description : ''),
      },
    })
    return undefined
  },
})
