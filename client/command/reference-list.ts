import { anchoredFormats } from '../../protocol/attestation/trust-anchor-wish.ts'
import { defineCommand } from './define-command.ts'
import { nameFlag } from './parse-values.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

export const referenceList = defineCommand({
  name: 'reference list',
  summary: 'Lists what evidence is compared with, the newest first.',
  flags: {
    ...listFlags,
    format: { type: 'string', value: 'FORMAT', choices: anchoredFormats, help: 'of the evidence' },
    name: { ...nameFlag, help: 'what policies call it' },
  },
  examples: ['qflare reference list', 'qflare reference list --name "release 7"'],
  notes: `A value that is not GENUINE was changed by somebody who writes to the database: it counts for nothing.\n\n${listNotes}\n\n${operatorNotes}`,
  async run({ values }) {
    const inputs = await openInputsOf(values)
    const { format, name } = values
    const now = Date.now()
    await printList(values, {
      what: 'reference values',
      read: (page) => inputs.listReferenceValues({ ...page, format, name }),
      columns: {
        ID: ({ id }) => id,
        FORMAT: (value) => value.format,
        NAME: (value) => value.name,
        GENUINE: ({ isGenuine }) => (isGenuine ? 'yes' : 'NO'),
        ADDED: ({ createdAt }) => formatTime(createdAt, now),
        'SHA-256': ({ valueHash }) => valueHash,
      },
    })
    return undefined
  },
})
