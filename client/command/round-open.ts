import { defineCommand } from './define-command.ts'
import { federationIdName, parseCount, parseIdArgument } from './parse-values.ts'
import { printResult } from './print.ts'
import { federationNotes, openFederationsOf, stateFlag } from './settings.ts'

export const roundOpen = defineCommand({
  name: 'round open',
  positionals: ['FEDERATION'],
  summary: 'Opens a round of a federation; prints its number.',
  flags: {
    round: {
      type: 'string',
      value: 'N',
      parse: parseCount,
      expects: 'a number from 1',
      help: 'its number; default: the next one',
    },
    'min-participants': {
      type: 'string',
      value: 'N',
      parse: parseCount,
      expects: 'a number from 1',
      help: 'with fewer it has failed when it is closed',
    },
    ...stateFlag,
  },
  examples: ['qflare round open 0199b0a4-7e1c-7000-8000-0000000000fe --min-participants 3'],
  notes: federationNotes,
  async run({ values, positionals: [typed] }) {
    const federationId = parseIdArgument(typed, federationIdName, 'FEDERATION')
    const federations = await openFederationsOf(values)
    const wish = { round: values.round, minParticipants: values['min-participants'] }
    const round = await federations.openRound(federationId, wish)
    await printResult(values.json, { federationId, round }, String(round))
    return undefined
  },
})
