import { trustworthinessTiers } from '../../protocol/attestation/ear.ts'
import { defineCommand } from './define-command.ts'
import { idFlag } from './parse-values.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openAttestationsOf, operatorNotes } from './settings.ts'

export const attestationList = defineCommand({
  name: 'attestation list',
  summary: 'Lists what evidence was found to be, the newest result first.',
  flags: {
    device: {
      ...idFlag,
      expects: 'the id of a device, as qflare device list shows it',
      help: 'only those of this device',
    },
    tier: { type: 'string', value: 'TIER', choices: trustworthinessTiers, help: 'only those of this tier' },
    ...listFlags,
  },
  examples: ['qflare attestation list --tier contraindicated'],
  notes: `A coordinator's token shows the members of the federations that were made with it.\n\n${listNotes}\n\n${operatorNotes}`,
  async run({ values }) {
    const attestations = await openAttestationsOf(values)
    const now = Date.now()
    await printList(values, {
      what: 'attestations',
      read: (page) => attestations.listAttestations({ ...page, deviceId: values.device, tier: values.tier }),
      columns: {
        ID: ({ id }) => id,
        DEVICE: ({ deviceId }) => deviceId,
        TIER: ({ tier }) => tier,
        POLICY: ({ policyId }) => policyId,
        APPRAISED: ({ appraisedAt }) => formatTime(appraisedAt, now),
      },
    })
    return undefined
  },
})
