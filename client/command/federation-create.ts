import { federationPolicyPattern } from '../../protocol/rounds/federation-policies.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { parseName } from './parse-values.ts'
import { printable, printResult } from './print.ts'
import { federationNotes, openFederationsOf, stateFlag } from './settings.ts'

export const federationCreate = defineCommand({
  name: 'federation create',
  positionals: ['NAME'],
  summary: 'Makes a federation: devices that train together, and coordinators that run its rounds.',
  flags: {
    policy: {
      type: 'string',
      value: 'POLICY',
      parse: (text: string) => (federationPolicyPattern.test(text) ? text : undefined),
      expects: 'production, development, or tiers and an age in seconds, as in affirming,warning/900',
      help: "who is admitted to its rounds: production, development, or tiers and the age of results in seconds, as in affirming,warning/900; default: the service's choice",
    },
    ...stateFlag,
  },
  examples: ['qflare federation create north --policy production'],
  notes: federationNotes,
  async run({ values, positionals: [typed = ''] }) {
    const name = parseName(typed)
    if (name === undefined)
      throw usageError('NAME has 1 to 128 characters: no control or format characters, and at least one that shows.')
    const federations = await openFederationsOf(values)
    const federation = await federations.createFederation({ name, policy: values.policy })
    const { id, policy } = federation
    await printResult(
      values.json,
      federation,
      `${printable(federation.name)} (${id}) is made, of policy ${printable(policy)}.`,
    )
    return undefined
  },
})
