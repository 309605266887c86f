import { defineCommand } from './define-command.ts'
import { idFlag } from './parse-values.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const sessionList = defineCommand({
  name: 'session list',
  summary: 'Lists sessions, those of the newest time bucket first. Keys are in none of this.',
  flags: {
    device: {
      ...idFlag,
      expects: 'the id of a device, as qflare device list shows it',
      help: 'only those of this device',
    },
    ...listFlags,
  },
  examples: ['qflare session list --device 0199b0a4-7e1c-7000-8000-000000000001'],
  notes: `${listNotes}\n\n${operatorNotes}`,
  async run({ values }) {
    const operator = await openOperatorOf(values)
    const now = Date.now()
    await printList(values, {
      what: 'sessions',
      read: (page) => operator.listSessions({ ...page, deviceId: values.device }),
      columns: {
        ID: ({ id }) => id,
        DEVICE: ({ deviceId }) => deviceId,
        STATE: ({ state }) => state,
        MADE: ({ createdAt }) => formatTime(createdAt, now),
        EXPIRES: ({ expiresAt }) => formatTime(expiresAt, now),
      },
    })
    return undefined
  },
})
