import { defineCommand } from './define-command.ts'
import { parseRoundArguments } from './parse-values.ts'
import { formatTime, printResult, toList } from './print.ts'
import { federationNotes, openFederationsOf, stateFlag } from './settings.ts'

export const roundShow = defineCommand({
  name: 'round show',
  positionals: ['FEDERATION', 'ROUND'],
  summary: 'Shows a round: its state, and how many devices a key was given out for.',
  flags: stateFlag,
  examples: ['qflare round show 0199b0a4-7e1c-7000-8000-0000000000fe 7'],
  notes: `With --json: the round as docs/api.md describes it.\n\n${federationNotes}`,
  async run({ values, positionals }) {
    const names = parseRoundArguments(positionals)
    const round = await (await openFederationsOf(values)).getRound(names.federationId, names.round)
    const now = Date.now()
    const text = toList([
      ['round', round.round],
      ['federation', round.federationId],
      ['state', round.state],
      ['participants', `${round.participants}, of at least ${round.minParticipants}`],
      ['lost their epoch', round.epochGone],
      ['opened', formatTime(round.openedAt, now)],
      ['closed', round.closedAt === null ? 'not yet' : formatTime(round.closedAt, now)],
      ['aggregate', round.aggregateHash ?? 'none'],
    ])
    await printResult(values.json, round, text)
    return undefined
  },
})
