import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Finding } from '../../../../protocol/attestation/appraisal.ts'
import {
  type AppraisalInputs,
  appraisePieces,
  type PieceOfEvidence,
  parsePolicyEvidence,
} from '../../../../protocol/attestation/appraise.ts'
import {
  defineEvidenceFormat,
  type EvidenceFormatName,
  malformedEvidence,
  refusedEvidence,
} from '../../../../protocol/attestation/evidence-format.ts'
import { policyNone } from '../../../../protocol/attestation/policy.ts'
import { json } from '../../../../protocol/wire.ts'

/** A format whose evidence says itself what becomes of it, so that each way of a verdict can be seen. */
const format = defineEvidenceFormat({
  name: 'psa',
  rules: z.strictObject({ value: z.int() }),
  referenceValue: z.strictObject({ value: z.int() }),
  parseEvidence: ({ outcome }) => outcome,
  trustAnchorIds: () => [],
  extractClaims(outcome, anchors, { binding, now, attester }) {
    if (outcome === 'refused') throw refusedEvidence('psa.signature', 'The signature is not valid.')
    if (outcome === 'malformed') throw malformedEvidence('It ends too soon.')
    if (outcome === 'defect') throw new TypeError('of the format itself')
    return { anchors: anchors.length, binding: binding[0] ?? 0, now, attester: attester.kind }
  },
  attesterOf: () => ({ id: 'psa:1', state: json.parse({ count: 1 }) }),
  claimsToJson: (claims) => claims,
  appraise: (claims, references, rules): Finding[] => [
    { check: 'psa.rules', claim: 'executables', value: rules.value, detail: JSON.stringify(claims) },
    ...references.map(({ value }) => ({ check: 'psa.reference', claim: 'hardware' as const, value, detail: '' })),
  ],
})

function piece(
  outcome: string,
  given: { value?: number; references?: number[]; name?: EvidenceFormatName } = {},
): PieceOfEvidence & AppraisalInputs {
  const { value = 2, references = [], name = 'psa' } = given
  return {
    format: name,
    policy: { rules: { value }, referenceValues: [] },
    parsed: format.parse({ outcome }),
    anchors: [{ lookupId: 'psa:1', kind: 'key', der: new Uint8Array(1) }],
    referenceValues: references.map((one) => ({ value: one })),
    collateral: [],
    expected: {
      binding: new Uint8Array(32).fill(7),
      identityKey: new Uint8Array(1312),
      now: 5,
      attester: { kind: 'enrolling', activation: undefined },
    },
  }
}

describe('a verdict', () => {
  test('is what the format finds with exactly what it is given', () => {
    expect(appraisePieces([piece('good', { references: [2, 97] })])).toEqual({
      tier: 'contraindicated',
      appraisals: {
        psa: {
          tier: 'contraindicated',
          vector: { executables: 2, hardware: 97 },
          findings: [
            {
              check: 'psa.rules',
              claim: 'executables',
              value: 2,
              detail: '{"anchors":1,"binding":7,"now":5,"attester":"enrolling"}',
            },
            { check: 'psa.reference', claim: 'hardware', value: 2, detail: '' },
            { check: 'psa.reference', claim: 'hardware', value: 97, detail: '' },
          ],
        },
      },
      attesters: [{ format: 'psa', id: 'psa:1', state: { count: 1 } }],
    })
  })

  test('is the same each time', () => {
    const pieces = [piece('good', { value: 33, references: [2] })]
    expect(appraisePieces(pieces)).toEqual(appraisePieces(pieces))
  })

  test('on evidence that fails a check is contraindicated, names the check, and knows no attester', () => {
    expect(appraisePieces([piece('refused')])).toEqual({
      tier: 'contraindicated',
      appraisals: {
        psa: {
          tier: 'contraindicated',
          vector: { 'instance-identity': 99 },
          findings: [
            { check: 'psa.signature', claim: 'instance-identity', value: 99, detail: 'The signature is not valid.' },
          ],
        },
      },
      attesters: [],
    })
  })

  test.each([
    [2, 2, 'affirming'],
    [2, 33, 'warning'],
    [33, 97, 'contraindicated'],
    [0, 0, 'none'],
    [2, 0, 'affirming'],
  ])('over several formats is the worst of them: %i and %i are %s', (first, second, tier) => {
    const pieces = [piece('good', { value: first }), piece('good', { value: second, name: 'tpm2' })]
    expect(appraisePieces(pieces).tier).toBe(tier)
    expect(appraisePieces(pieces.toReversed()).tier).toBe(tier)
    expect(appraisePieces([...pieces, piece('refused', { name: 'none' })]).tier).toBe('contraindicated')
  })

  test('on what cannot be read is none: it is refused by the name of the format, and a defect stays one', () => {
    expect(() => appraisePieces([piece('malformed')])).toThrow(
      expect.objectContaining({ code: 'evidence_malformed', message: 'Evidence of format psa: It ends too soon.' }),
    )
    expect(() => appraisePieces([piece('defect')])).toThrow(TypeError)
  })
})

describe('evidence for a policy', () => {
  const refused = (evidence: Record<string, string>[]) => () => parsePolicyEvidence(policyNone, evidence)

  test('is exactly one piece of each format that it names', () => {
    expect(refused([{ format: 'none' }])()).toMatchObject([{ format: 'none', policy: policyNone.evidence.none }])
    for (const evidence of [
      [],
      [{ format: 'none' }, { format: 'none' }],
      [{ format: 'none' }, { format: 'psa' }],
      [{ format: 'psa' }],
      [{ format: 'NONE' }],
      [{}],
    ]) {
      expect(refused(evidence as Record<string, string>[])).toThrow(
        expect.objectContaining({
          code: 'evidence_malformed',
          message: 'The policy takes exactly one piece of evidence, of format none.',
        }),
      )
    }
  })

  test('that its format cannot read is refused by the name of the format', () => {
    expect(refused([{ format: 'none', more: '' }])).toThrow(
      expect.objectContaining({
        code: 'evidence_malformed',
        message: expect.stringMatching(/^Evidence of format none: /),
      }),
    )
  })
})
