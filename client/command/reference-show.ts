import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { formatTime, printResult, toJson, toList } from './print.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

export const referenceShow = defineCommand({
  name: 'reference show',
  positionals: ['ID'],
  summary: 'Shows a reference value, also one that is removed.',
  flags: {},
  examples: ['qflare reference show 0199b0a4-7e1c-7000-8000-0000000000f0'],
  notes: operatorNotes,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, 'a reference value, as qflare reference list shows it')
    const shown = await (await openInputsOf(values)).getReferenceValue(id)
    const now = Date.now()
    const facts = toList([
      ['reference value', id],
      ['format', shown.format],
      ['name', shown.name],
      ['SHA-256', shown.valueHash],
      ['genuine', shown.isGenuine ? 'yes' : 'no: somebody wrote to the database, and it counts for nothing'],
      ['added', formatTime(shown.createdAt, now)],
      ...(shown.removedAt === null ? [] : [['removed', formatTime(shown.removedAt, now)] as const]),
    ])
    await printResult(values.json, shown, `${facts}\n\n${toJson(shown.value, 2)}`)
    return undefined
  },
})
