import { describe, expect, it } from 'vitest'
import { federationPolicyNames, judgeResult } from '../../../../protocol/rounds/federation-policies.ts'

const now = 1_795_318_200_000
const session = '0199b0a4-7e1c-8000-8000-000000000001'
const judge = (
  policy: 'development' | 'production',
  tier: Parameters<typeof judgeResult>[1]['tier'],
  wish: { appraisedAt?: number; sessionId?: string | undefined; attestationsMissed?: number } = {},
) => {
  const { appraisedAt = now, attestationsMissed = 0 } = wish
  const sessionId = 'sessionId' in wish ? wish.sessionId : session
  return judgeResult(policy, { tier, appraisedAt, sessionId }, { sessionId: session, attestationsMissed }, now)
}

describe('a federation policy', () => {
  it('admits nobody who is contraindicated', () => {
    const judged = federationPolicyNames.map((policy) => judge(policy, 'contraindicated'))
    expect(judged).toEqual(['tier_refused', 'tier_refused'])
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
})
