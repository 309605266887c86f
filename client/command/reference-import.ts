import { z } from 'zod'
import { defineCommand } from './define-command.ts'
import { readJsonFile } from './policy-argument.ts'
import { printable, printResult } from './print.ts'
import { unusable } from './regular-file.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

/** Of the route (docs/api.md). */
const MAX_BYTES = 512 << 10

const referenceFile = z.strictObject({ format: z.string(), name: z.string(), values: z.array(z.json()).min(1) })

export const referenceImport = defineCommand({
  name: 'reference import',
  positionals: ['FILE'],
  summary: 'Adds what evidence is compared with.',
  flags: {},
  examples: ['qflare reference import release-7.json'],
  notes: `FILE is JSON: {"format": "tpm2", "name": "release 7", "values": [{"pcrs": {"sha256": {"0": ["hex"]}}}]}. Policies call values by their name; what one of a name allows is allowed. What a value may hold is in attestation-formats.md. What is there already stays as it is. ${operatorNotes}`,
  async run({ values, positionals: [path = ''] }) {
    const { success, data, error } = referenceFile.safeParse(await readJsonFile(path, MAX_BYTES))
    if (!success) throw unusable(`${path} holds no reference values:\n${z.prettifyError(error)}`)
    const { items } = await (await openInputsOf(values)).addReferenceValues(data)
    const lines = items.map(({ isNew, referenceValue: { id, name, valueHash } }) => {
      return `${id}  ${printable(name)} ${isNew ? 'is added' : 'was there before'}; SHA-256 ${valueHash}`
    })
    await printResult(values.json, { items }, lines.join('\n'))
    return undefined
  },
})
