import { defineCommand } from './define-command.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const organizationList = defineCommand({
  name: 'organization list',
  summary: 'Lists the organizations, the newest first.',
  flags: listFlags,
  examples: ['qflare organization list', 'qflare organization list --all --json'],
  notes: `${listNotes}\nOnly an admin of the service may do this.\n\n${operatorNotes}`,
  async run({ values }) {
    const operator = await openOperatorOf(values)
    const now = Date.now()
    await printList(values, {
      what: 'organizations',
      read: (page) => operator.listOrganizations(page),
      columns: {
        ID: ({ id }) => id,
        NAME: ({ name }) => name,
        MADE: ({ createdAt }) => formatTime(createdAt, now),
      },
    })
    return undefined
  },
})
