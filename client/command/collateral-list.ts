import { defineCommand } from './define-command.ts'
import { formatDistance, type formatTime } from './print.ts'
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
        ISSUED: ({ issuedAt }) => formatDistance(issuedAt, now),
        ENDS: ({ nextUpdateAt }) => formatEnd(nextUpdateAt, now, formatDistance),
        NAME: ({ name }) => name,
      },
    })
    return undefined
  },
})

/** `in 3 d`, `ENDED 2 h ago`, or `-` for what names no end; with the time itself by `formatTime`. */
export function formatEnd(nextUpdateAt: number | null, now: number, format: typeof formatTime): string {
  if (nextUpdateAt === null) return '-'
  const at = format(nextUpdateAt, now)
  return nextUpdateAt <= now ? `ENDED ${at}` : at
}
