import { defineCommand } from './define-command.ts'
import { deviceIdName, deviceText } from './device-show.ts'
import { usageError } from './exit-codes.ts'
import { labelsFlag, nameFlag, parseIdArgument, parseLabel } from './parse-values.ts'
import { printResult } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const deviceSet = defineCommand({
  name: 'device set',
  positionals: ['ID'],
  summary: 'Changes what the service remembers of a device or coordinator: what is given, and nothing else.',
  flags: {
    name: { ...nameFlag, help: '1 to 128 characters' },
    type: {
      type: 'string',
      value: 'LABEL',
      parse: (text) => (text === '' ? null : parseLabel(text)),
      expects: '1 to 64 of a-z, 0-9, ".", "_" and "-", or empty for none',
      help: 'what it is: 1 to 64 of a-z, 0-9, ".", "_" and "-"; empty removes it',
    },
    capabilities: { ...labelsFlag, help: 'all that it can do, at most 32 labels as of --type; empty removes them' },
    metadata: {
      type: 'string',
      value: 'NAME=TEXT',
      multiple: true,
      parse: parseMember,
      expects: 'NAME=TEXT, or NAME= to remove it',
      help: 'one member, as text of at most 256 characters; NAME= removes it, the other members stay',
    },
  },
  examples: [
    'qflare device set 0199b0a4-7e1c-7000-8000-000000000001 --type camera --capabilities gpu,npu',
    'qflare device set 0199b0a4-7e1c-7000-8000-000000000001 --metadata site=berlin --metadata rack=',
  ],
  notes: `With --json: the device as docs/api.md describes it.\n\n${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, deviceIdName)
    const { name, type, capabilities, metadata: members, json } = values
    if ([name, type, capabilities, members].every((value) => value === undefined)) {
      throw usageError('Nothing to change: give --name, --type, --capabilities or --metadata.')
    }
    const operator = await openOperatorOf(values)
    // The server replaces metadata as a whole.
    const metadata = members === undefined ? undefined : withMembers((await operator.getDevice(id)).metadata, members)
    const device = await operator.updateDevice(id, { name, type, capabilities, metadata })
    await printResult(json, device, deviceText(device))
    return undefined
  },
})

type Member = readonly [name: string, text: string]

function parseMember(text: string): Member | undefined {
  const [, name, value] = /^([^=]{1,64})=(.{0,256})$/su.exec(text) ?? []
  return name === undefined || value === undefined ? undefined : [name, value]
}

function withMembers(held: Record<string, unknown>, changes: readonly Member[]) {
  const members = new Map(Object.entries(held) as [string, string | number | boolean][])
  for (const [name, text] of changes) {
    if (text === '') members.delete(name)
    else members.set(name, text)
  }
  return Object.fromEntries(members)
}
