import { anchoredFormats } from '../../protocol/attestation/trust-anchor-wish.ts'
import { defineCommand } from './define-command.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

export const anchorsList = defineCommand({
  name: 'anchors list',
  summary: 'Lists what the organization trusts, the newest first.',
  flags: {
    ...listFlags,
    format: { type: 'string', value: 'FORMAT', choices: anchoredFormats, help: 'of the evidence that leads to it' },
    kind: {
      type: 'string',
      value: 'KIND',
      choices: ['root', 'intermediate', 'key'],
      help: 'roots, certificates that help to get to one, or keys of devices',
    },
  },
  examples: ['qflare anchors list', 'qflare anchors list --format psa --all'],
  notes: `An anchor that is not GENUINE was changed by somebody who writes to the database: it counts for nothing.\n\n${listNotes}\n\n${operatorNotes}`,
  async run({ values }) {
    const inputs = await openInputsOf(values)
    const { format, kind } = values
    const now = Date.now()
    await printList(values, {
      what: 'trust anchors',
      read: (page) => inputs.listTrustAnchors({ ...page, format, kind }),
      columns: {
        ID: ({ id }) => id,
        FORMAT: (anchor) => anchor.format,
        KIND: (anchor) => anchor.kind,
        GENUINE: ({ isGenuine }) => (isGenuine ? 'yes' : 'NO'),
        ADDED: ({ createdAt }) => formatTime(createdAt, now),
        NAME: ({ name }) => name,
        'SHA-256': ({ fingerprint }) => fingerprint,
      },
    })
    return undefined
  },
})
