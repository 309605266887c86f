import { defineCommand } from './define-command.ts'
import { federationIdName, parseIdArgument } from './parse-values.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { federationNotes, openFederationsOf, stateFlag } from './settings.ts'

export const federationMembers = defineCommand({
  name: 'federation members',
  positionals: ['ID'],
  summary: 'Lists the devices that are members of a federation.',
  flags: { ...listFlags, ...stateFlag },
  examples: ['qflare federation members 0199b0a4-7e1c-7000-8000-0000000000fe --all'],
  notes: `${listNotes}\n\n${federationNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, federationIdName)
    const federations = await openFederationsOf(values)
    const now = Date.now()
    await printList(values, {
      what: 'members',
      read: (page) => federations.listMembers(id, page),
      columns: {
        DEVICE: ({ deviceId }) => deviceId,
        ADDED: ({ addedAt }) => formatTime(addedAt, now),
      },
    })
    return undefined
  },
})
