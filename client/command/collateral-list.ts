import { defineCommand } from './define-command.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

export const collateralList = defineCommand({
  name: 'collateral list',
  summary: 'Lists revocation lists and statements of vendors, the newest first.',
  flags: {
    ...listFlags,
    kind: { type: 'string', value: 'KIND', help: 'such as crl' },
  },
  examples: ['qflare collateral list', 'qflare collateral list --kind crl --all'],
  notes: `What ENDED is out of date: evidence that is held against it gets what its policy says of that. What is not GENUINE was changed by somebody who writes to the database: it counts for nothing.\n\n${listNotes}\n\n${operatorNotes}`,
  async run({ values }) {
    const inputs = await openInputsOf(values)
    const now = Date.now()
    await printList(values, {
      what: 'collateral',
      read: (page) => inputs.listCollateral({ ...page, kind: values.kind }),
      columns: {
        ID: ({ id }) => id,
        KIND: ({ kind }) => kind,
        GENUINE: ({ isGenuine }) => (isGenuine ? 'yes' : 'NO'),
        ISSUED: ({ issuedAt }) => formatTime(issuedAt, now),
        END: ({ nextUpdateAt }) => formatEnd(nextUpdateAt, now),
        NAME: ({ name }) => name,
      },
    })
    return undefined
  },
})

export function formatEnd(nextUpdateAt: number | null, now: number): string {
  if (nextUpdateAt === null) return '-'
  const at = formatTime(nextUpdateAt, now)
  return nextUpdateAt <= now ? `ENDED ${at}` : at
}
