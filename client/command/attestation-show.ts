import { tierOfValue } from '../../protocol/attestation/appraisal.ts'
import type { Attestation } from '../attestations.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { formatTime, printable, printResult, toList } from './print.ts'
import { openAttestationsOf, operatorNotes } from './settings.ts'

/** What ID is, for the error of a wrong one. */
export const attestationIdName = 'an attestation, as qflare attestation list shows it'

export const attestationShow = defineCommand({
  name: 'attestation show',
  positionals: ['ID'],
  summary: 'Shows an attestation result with what was found, line by line.',
  flags: {},
  examples: ['qflare attestation show 0199b0a4-7e1c-7000-8000-0000000000a7'],
  notes: `With --json: the result as docs/api.md describes it.\n\n${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, attestationIdName)
    const shown = await (await openAttestationsOf(values)).getAttestation(id)
    await printResult(values.json, shown, attestationText(shown))
    return undefined
  },
})

function attestationText(shown: Attestation): string {
  const now = Date.now()
  const facts = toList([
    ['attestation', shown.id],
    ['device', shown.deviceId],
    ['identity key', shown.kid],
    ['session', shown.sessionId ?? 'none: of an enrolment, or of a new identity key'],
    ['tier', shown.tier],
    ['policy', shown.policyId],
    ['appraised', formatTime(shown.appraisedAt, now)],
    ['expires', formatTime(shown.expiresAt, now)],
  ])
  const lines = Object.values(shown.findings).flatMap((findings) =>
    findings.flatMap(({ check, claim, value, detail }) => [
      `${check}  ${claim} ${value}, ${tierOfValue(value)}`,
      `  ${detail}`,
    ]),
  )
  return [facts, ...(lines.length === 0 ? [] : ['', ...lines.map(printable)])].join('\n')
}
