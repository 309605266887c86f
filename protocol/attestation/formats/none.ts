import { z } from 'zod'
import { json } from '../../wire.ts'
import { defineEvidenceFormat, malformedEvidence } from '../evidence-format.ts'

const evidenceNone = z.strictObject({
  format: z.literal('none'),
  claims: z.record(z.string().max(64), json).optional(),
})

/** Of a device that only proves its key. What it claims is said by it and vouched for by nobody: nothing is ever found in it. */
export const none = defineEvidenceFormat({
  name: 'none',
  rules: z.strictObject({}),
  referenceValue: z.never(),
  parseEvidence(evidence) {
    const { success } = evidenceNone.safeParse(evidence)
    if (!success) throw malformedEvidence('Evidence of format none has its format and claims, and nothing else.')
    return {}
  },
  trustAnchorIds: () => [],
  extractClaims: () => ({}),
  attesterOf: () => undefined,
  claimsToJson: (claims) => claims,
  appraise: () => [],
})
