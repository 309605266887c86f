import { defineCommand } from './define-command.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { federationNotes, openFederationsOf, stateFlag } from './settings.ts'

export const federationList = defineCommand({
  name: 'federation list',
  summary: 'Lists federations, the newest first.',
  flags: { ...listFlags, ...stateFlag },
  examples: ['qflare federation list'],
  notes: `${listNotes}\n\n${federationNotes}`,
  async run({ values }) {
    const federations = await openFederationsOf(values)
    const now = Date.now()
    await printList(values, {
      what: 'federations',
      read: (page) => federations.listFederations(page),
      columns: {
        ID: ({ id }) => id,
        NAME: ({ name }) => name,
        POLICY: ({ policy }) => policy,
        MADE: ({ createdAt }) => formatTime(createdAt, now),
      },
    })
    return undefined
  },
})
