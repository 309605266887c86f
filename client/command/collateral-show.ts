import { formatEnd } from './collateral-list.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { formatTime, printResult, toList } from './print.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

export const collateralShow = defineCommand({
  name: 'collateral show',
  positionals: ['ID'],
  summary: 'Shows a revocation list or a statement of a vendor, also one that is removed.',
  flags: {},
  examples: ['qflare collateral show 0199b0a4-7e1c-7000-8000-0000000000cc'],
  notes: `With --json it has the body too, in base64url. ${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, 'collateral, as qflare collateral list shows it')
    const shown = await (await openInputsOf(values)).getCollateral(id)
    const now = Date.now()
    const facts = toList([
      ['collateral', id],
      ['kind', shown.kind],
      ['name', shown.name],
      ['looked up by', shown.lookupId],
      ['issued', formatTime(shown.issuedAt, now)],
      ['end', formatEnd(shown.nextUpdateAt, now, formatTime)],
      ['bytes', shown.bodyBytes.toLocaleString('en')],
      ['SHA-256', shown.bodyHash],
      ['certificates beside it', String(shown.chain.length)],
      ['genuine', shown.isGenuine ? 'yes' : 'no: somebody wrote to the database, and it counts for nothing'],
      ['imported', formatTime(shown.createdAt, now)],
      ...(shown.removedAt === null ? [] : [['removed', formatTime(shown.removedAt, now)] as const]),
    ])
    await printResult(values.json, shown, facts)
    return undefined
  },
})
