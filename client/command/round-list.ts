import { defineCommand } from './define-command.ts'
import { federationIdName, parseIdArgument } from './parse-values.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { federationNotes, openFederationsOf, stateFlag } from './settings.ts'

export const roundList = defineCommand({
  name: 'round list',
  positionals: ['FEDERATION'],
  summary: 'Lists the rounds of a federation, the newest first.',
  flags: { ...listFlags, ...stateFlag },
  examples: ['qflare round list 0199b0a4-7e1c-7000-8000-0000000000fe'],
  notes: `${listNotes}\n\n${federationNotes}`,
  async run({ values, positionals: [typed] }) {
    const federationId = parseIdArgument(typed, federationIdName, 'FEDERATION')
    const federations = await openFederationsOf(values)
    const now = Date.now()
    await printList(values, {
      what: 'rounds',
      read: (page) => federations.listRounds(federationId, page),
      columns: {
        ROUND: ({ round }) => String(round),
        STATE: ({ state }) => state,
        PARTICIPANTS: ({ participants, minParticipants }) => `${participants} of at least ${minParticipants}`,
        OPENED: ({ openedAt }) => formatTime(openedAt, now),
        CLOSED: ({ closedAt }) => (closedAt === null ? '' : formatTime(closedAt, now)),
      },
    })
    return undefined
  },
})
