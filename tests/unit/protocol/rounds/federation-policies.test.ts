import { describe, expect, it } from 'vitest'
import {
  federationPolicyPattern,
  getFederationTerms,
  judgeResult,
} from '../../../../protocol/rounds/federation-policies.ts'

const now = 1_795_318_200_000
const session = '0199b0a4-7e1c-8000-8000-000000000001'
const judge = (
  policy: string,
  tier: Parameters<typeof judgeResult>[1]['tier'],
  wish: { appraisedAt?: number; sessionId?: string | undefined; attestationsMissed?: number } = {},
) => {
  const { appraisedAt = now, attestationsMissed = 0 } = wish
  const sessionId = 'sessionId' in wish ? wish.sessionId : session
  return judgeResult(
    getFederationTerms(policy),
    { tier, appraisedAt, sessionId },
    { sessionId: session, attestationsMissed },
    now,
  )
}

describe('a federation policy', () => {
  it('admits nobody who is contraindicated', () => {
    const policies = ['development', 'production', 'affirming,warning,none', 'none/300']
    expect(policies.map((policy) => judge(policy, 'contraindicated'))).toEqual(policies.map(() => 'tier_refused'))
  })

  it('`development` admits whoever else was appraised, however long ago and for whatever session', () => {
    const tiers = ['affirming', 'warning', 'none'] as const
    const wish = { appraisedAt: 0, sessionId: undefined, attestationsMissed: 9 }
    expect(tiers.map((tier) => judge('development', tier, wish))).toEqual(tiers.map((tier) => ({ tier })))
  })

  it('`production` admits who is affirming, for ten minutes, in the session that it attested for', () => {
    expect(judge('production', 'affirming')).toEqual({ tier: 'affirming' })
    expect(judge('production', 'warning')).toBe('tier_refused')
    expect(judge('production', 'none')).toBe('tier_refused')
    expect(judge('production', 'affirming', { appraisedAt: now - 600_000 })).toEqual({ tier: 'affirming' })
    expect(judge('production', 'affirming', { appraisedAt: now - 600_001 })).toBe('attestation_stale')
    const other = '0199b0a4-7e1c-8000-8000-000000000002'
    expect(judge('production', 'affirming', { sessionId: other })).toBe('attestation_stale')
    expect(judge('production', 'affirming', { sessionId: undefined }), 'of the enrolment').toBe('attestation_stale')
  })

  it('`production` admits who has missed one attestation, and not who has missed two', () => {
    expect(judge('production', 'affirming', { attestationsMissed: 1 })).toEqual({ tier: 'affirming' })
    expect(judge('production', 'affirming', { attestationsMissed: 2 })).toBe('attestation_overdue')
  })

  it('of its own names tiers, and how old results of the session may be', () => {
    const mild = 'affirming,warning/900'
    expect(judge(mild, 'warning', { appraisedAt: now - 900_000 })).toEqual({ tier: 'warning' })
    expect(judge(mild, 'warning', { appraisedAt: now - 900_001 })).toBe('attestation_stale')
    expect(judge(mild, 'affirming', { sessionId: undefined })).toBe('attestation_stale')
    expect(judge(mild, 'affirming', { attestationsMissed: 2 })).toBe('attestation_overdue')
    expect(judge(mild, 'none')).toBe('tier_refused')
    expect(judge('affirming,warning', 'warning', { appraisedAt: 0, sessionId: undefined })).toEqual({ tier: 'warning' })
    expect(getFederationTerms('affirming/600')).toEqual(getFederationTerms('production'))
    expect(getFederationTerms('affirming,warning,none')).toEqual(getFederationTerms('development'))
  })

  it.each([
    '',
    'contraindicated',
    'affirming,contraindicated',
    'warning,affirming',
    'affirming,affirming',
    'affirming/',
    'affirming/299',
    'affirming/0600',
    'affirming/100000',
    'production/600',
    'toString',
    ' affirming',
    'affirming\n',
  ])('is not spelt %j', (text) => {
    expect(federationPolicyPattern.test(text)).toBe(false)
    expect(() => getFederationTerms(text)).toThrow(/no federation policy/)
  })
})
