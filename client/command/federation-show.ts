import { defineCommand } from './define-command.ts'
import { federationIdName, parseIdArgument } from './parse-values.ts'
import { formatTime, printResult, toList } from './print.ts'
import { federationNotes, openFederationsOf, stateFlag } from './settings.ts'

export const federationShow = defineCommand({
  name: 'federation show',
  positionals: ['ID'],
  summary: 'Shows a federation, and how many members it has.',
  flags: stateFlag,
  examples: ['qflare federation show 0199b0a4-7e1c-7000-8000-0000000000fe'],
  notes: `With --json: the federation as docs/api.md describes it, and "members".\n\n${federationNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, federationIdName)
    const federations = await openFederationsOf(values)
    const federation = await federations.getFederation(id)
    let members = 0
    for await (const _ of federations.members(id)) members++
    const text = toList([
      ['federation', federation.id],
      ['name', federation.name],
      ['policy', federation.policy],
      ['members', members],
      ['made', formatTime(federation.createdAt, Date.now())],
    ])
    await printResult(values.json, { ...federation, members }, text)
    return undefined
  },
})
