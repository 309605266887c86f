import { defineCommand } from './define-command.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const apiTokenList = defineCommand({
  name: 'api-token list',
  summary: 'Lists the API tokens of the organization, the newest first. Their secrets are not kept anywhere.',
  flags: listFlags,
  examples: ['qflare api-token list'],
  notes: `${listNotes}\nOnly an admin may do this.\n\n${operatorNotes}`,
  async run({ values }) {
    const operator = await openOperatorOf(values)
    const now = Date.now()
    await printList(values, {
      what: 'API tokens',
      read: (page) => operator.listApiTokens(page),
      columns: {
        ID: ({ id }) => id,
        NAME: ({ name }) => name,
        ROLES: ({ roles, serviceAdmin }) => [...roles, ...(serviceAdmin ? ['service admin'] : [])].join(', '),
        STATUS: ({ status }) => status,
        EXPIRES: ({ expiresAt }) => (expiresAt === null ? 'never' : formatTime(expiresAt, now)),
      },
    })
    return undefined
  },
})
