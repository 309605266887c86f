import { fromBase64url } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { confirm, yesFlag } from './confirm.ts'
import { defineCommand } from './define-command.ts'
import { parseRoundArguments } from './parse-values.ts'
import { printResult } from './print.ts'
import { coordinatorNotes, openDeviceOf, stateFlag } from './settings.ts'

export const roundClose = defineCommand({
  name: 'round close',
  positionals: ['FEDERATION', 'ROUND'],
  summary: 'Closes a round, for good: the service signs who had which key in it.',
  flags: {
    aggregate: {
      type: 'string',
      value: 'BASE64URL',
      parse: parseHash,
      expects: '32 bytes as base64url without padding',
      help: "a hash of what became of the participants' work, which the certificate then states",
    },
    ...yesFlag,
    ...stateFlag,
  },
  examples: ['qflare round close 0199b0a4-7e1c-7000-8000-0000000000fe 7'],
  notes: `With fewer participants than the round wanted it has failed, which is signed too. Repeating it changes nothing.\n\n${coordinatorNotes}`,
  async run({ values, positionals }) {
    const { federationId, round } = parseRoundArguments(positionals)
    const aggregateHash = values.aggregate
    await confirm(values.yes, async () => `Close round ${round} for good?`)
    const coordinator = await openDeviceOf(values)
    const certificate = await coordinator.closeRound(federationId, round, { aggregateHash })
    const { state, participants, minParticipants } = certificate
    const shown = { federationId, round, state, participants: participants.length, minParticipants }
    await printResult(
      values.json,
      shown,
      `Round ${round} is ${state}, with ${participants.length} of at least ${minParticipants} participants.`,
    )
    return undefined
  },
})

function parseHash(text: string): Uint8Array | undefined {
  try {
    return fromBase64url(text, 32)
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}
