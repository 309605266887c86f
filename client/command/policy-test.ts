import { tierOfValue } from '../../protocol/attestation/appraisal.ts'
import type { EvidenceAppraisal, FormatAppraisal } from '../../protocol/attestation/appraise.ts'
import {
  appraiseBundle,
  type EvidenceBundle,
  missingReferenceValues,
  parseEvidenceBundle,
} from '../../protocol/attestation/evidence-bundle.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { defineCommand } from './define-command.ts'
import { exitCodes } from './exit-codes.ts'
import { openPolicy, readJsonFile } from './policy-argument.ts'
import { printable, printResult } from './print.ts'
import { unusable } from './regular-file.ts'
import { operatorNotes } from './settings.ts'

/** Evidence has at most a mebibyte, and what it was held against comes on top. */
const MAX_BUNDLE_BYTES = 8 << 20

export const policyTest = defineCommand({
  name: 'policy test',
  positionals: ['POLICY', 'EVIDENCE'],
  summary: 'Says what a policy finds in evidence, line by line, and the tier; exactly what the service would find.',
  flags: {},
  examples: [
    'qflare policy test deploy/policies/tpm-strict.json evidence.json',
    'qflare policy test edge@3 evidence.json',
  ],
  notes: `POLICY is a file (its name ends in .json, or has a folder), or a policy of the server by its name or as NAME@VERSION. EVIDENCE is a file with what GET /v1/attestations/{id}/evidence answers; policies.md says more. With files, and with none, no server is asked. With --json: {"policy", "enrolls", "tier", "appraisals": {FORMAT: {"tier", "vector", "findings"}}, "recorded", "missing"}. ${operatorNotes}`,
  exitNotes:
    'Here 0 means that a device with this evidence would enrol, 1 that it would not; 4 that a file is no policy or no evidence.',
  async run({ values, positionals: [policy = '', path = ''] }) {
    const { id, document } = await openPolicy(values, policy)
    const bundle = await readBundle(path)
    const appraisal = appraiseBundle(await choosePrimitives(), document, bundle)
    const { tier, appraisals } = appraisal
    const enrolls = document.enroll.some((enrolling) => enrolling === tier)
    const recorded = bundle.result && { policyId: bundle.result.policyId, tier: bundle.result.tier }
    const missing = missingReferenceValues(document, bundle)
    const report = { policy: id, enrolls, tier, appraisals, recorded: recorded ?? null, missing }
    const text = [
      ...findingLines(appraisal),
      ...missing.map(
        ({ format, name }) => `Of ${format} reference values ${name} nothing is in ${path}: no value is allowed.`,
      ),
      ...(recorded === undefined ? [] : [`The service found ${recorded.tier}, by ${recorded.policyId}.`]),
      `${id}: ${tier}. A device with this evidence ${enrolls ? 'enrols' : 'does not enrol'}.`,
    ]
    await printResult(values.json, report, text.map(printable).join('\n'))
    return enrolls ? exitCodes.ok : exitCodes.refused
  },
})

/** Of each format its findings, each in two lines, then its vector. */
function findingLines({ appraisals }: EvidenceAppraisal): string[] {
  return Object.entries(appraisals).flatMap(([format, { tier, vector, findings }]: [string, FormatAppraisal]) => [
    ...findings.flatMap(({ check, claim, value, detail }) => [
      `${check}  ${claim} ${value}, ${tierOfValue(value)}`,
      `  ${detail}`,
    ]),
    `${format}: ${tier}; ${vectorText(vector)}`,
  ])
}

function vectorText(vector: FormatAppraisal['vector']): string {
  const claims = Object.entries(vector).map(([claim, value]) => `${claim} ${value}`)
  return claims.length === 0 ? 'nothing was found' : claims.join(', ')
}

async function readBundle(path: string): Promise<EvidenceBundle> {
  const value = await readJsonFile(path, MAX_BUNDLE_BYTES)
  try {
    return parseEvidenceBundle(value)
  } catch (error) {
    throw error instanceof ProtocolError ? unusable(`${path}: ${error.message}`) : error
  }
}
