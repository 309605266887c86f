import { attestationIdName } from './attestation-show.ts'
import { defineCommand } from './define-command.ts'
import { writeNewFile } from './new-file.ts'
import { parseIdArgument } from './parse-values.ts'
import { printResult, toJson, toList } from './print.ts'
import { openAttestationsOf, operatorNotes } from './settings.ts'

export const attestationEvidence = defineCommand({
  name: 'attestation evidence',
  positionals: ['ID'],
  summary: 'Fetches the evidence of a result, with everything that it was appraised with, into one file.',
  flags: {
    out: { type: 'string', value: 'FILE', help: 'a new file; default: evidence-ID.json' },
  },
  examples: ['qflare attestation evidence 0199b0a4-7e1c-7000-8000-0000000000a7 --out evidence.json'],
  notes: `qflare policy test appraises it again, by its own policy or another, and needs no server for that. ${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, attestationIdName)
    const { json, out = `evidence-${id}.json` } = values
    const bundle = await (await openAttestationsOf(values)).getAttestationEvidence(id)
    await writeNewFile(out, `${toJson(bundle, 2)}\n`)
    const { tier = 'unknown', policyId = 'unknown' } = bundle.result ?? {}
    const text = toList([
      ['attestation', id],
      ['tier', tier],
      ['policy', policyId],
      ['file', out],
      ['again', `qflare policy test ${policyId} ${out}`],
    ])
    await printResult(json, { id, tier, policyId, file: out }, text)
    return undefined
  },
})
