import { enrollmentTokenStatuses } from '../operator-answers.ts'
import { defineCommand } from './define-command.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const tokenList = defineCommand({
  name: 'token list',
  summary: 'Lists the enrolment tokens, the newest first. Their secrets are not kept anywhere.',
  flags: {
    status: { type: 'string', value: 'STATUS', choices: enrollmentTokenStatuses, help: 'only those of this status' },
    ...listFlags,
  },
  examples: ['qflare token list --status open', 'qflare token list --all --json'],
  notes: `${listNotes}\n\n${operatorNotes}`,
  async run({ values }) {
    const operator = await openOperatorOf(values)
    const now = Date.now()
    await printList(values, {
      what: 'enrolment tokens',
      read: (page) => operator.listEnrollmentTokens({ ...page, status: values.status }),
      columns: {
        ID: ({ id }) => id,
        KIND: ({ kind }) => kind,
        NAME: ({ name }) => name ?? 'any',
        TYPE: ({ type }) => type ?? '',
        STATUS: ({ status }) => status,
        EXPIRES: ({ expiresAt }) => formatTime(expiresAt, now),
        DEVICE: ({ deviceId }) => deviceId ?? '',
      },
    })
    return undefined
  },
})
