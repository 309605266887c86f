import { z } from 'zod'
import { trustDraftFile } from '../../protocol/trust-draft.ts'
import { defineCommand } from './define-command.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { jobsNotes } from './jobs-list.ts'
import { writeNewFile } from './new-file.ts'
import { printResult, toJson } from './print.ts'
import { openOperatorOf } from './settings.ts'
import { trustDifferenceText } from './trust-difference.ts'

export const rootDraft = defineCommand({
  name: 'root draft',
  summary: 'Fetches the trust bundle that waits for the root of trust, with the one before it, into one file.',
  flags: { out: { type: 'string', value: 'FILE', help: 'a new file; default: trust-draft-N.json, N its sequence' } },
  examples: ['qflare root draft --out /media/stick/trust-draft.json'],
  notes: `Carry the file to the root of trust, and sign it there: qflare root sign. It holds nothing secret.\n${jobsNotes}`,
  async run({ values }) {
    const { draft } = await (await openOperatorOf(values)).getTrustDraft()
    if (draft === null)
      throw new CommandError(exitCodes.refused, 'Nothing waits for the root of trust.', 'nothing_waits')
    const { previous, next } = draft
    const { out = `trust-draft-${next.sequence}.json` } = values
    const difference = trustDifferenceText(previous, next)
    const file = z.encode(trustDraftFile, { format: 'qflare-trust-draft/1', previous, next })
    await writeNewFile(out, `${toJson(file, 2)}\n`)
    const text = `${difference}\n\nTrust bundle ${next.sequence} is in ${out}, to be signed.`
    await printResult(values.json, { trustSequence: next.sequence, file: out }, text)
    return undefined
  },
})
