import { describe, expect, it } from 'vitest'
import { federationPolicyNames, findAdmittedTier } from '../../../../protocol/rounds/federation-policies.ts'

const now = 1_795_318_200_000
const session = { createdAt: now - 600_000 }
const tierAt = (
  policy: 'development' | 'production',
  tier: Parameters<typeof findAdmittedTier>[1]['tier'],
  appraisedAt = now,
) => findAdmittedTier(policy, { tier, appraisedAt }, session, now)

describe('a federation policy', () => {
  it('admits nobody who is contraindicated', () => {
    expect(federationPolicyNames.map((policy) => tierAt(policy, 'contraindicated'))).toEqual([undefined, undefined])
  })

  it('`development` admits whoever else was appraised, however long ago', () => {
    const tiers = ['affirming', 'warning', 'none'] as const
    expect(tiers.map((tier) => tierAt('development', tier, 0))).toEqual(tiers)
  })

  it('`production` admits who is affirming, for ten minutes, since the session began', () => {
    expect(tierAt('production', 'affirming')).toBe('affirming')
    expect(tierAt('production', 'warning')).toBeUndefined()
    expect(tierAt('production', 'none')).toBeUndefined()
    expect(tierAt('production', 'affirming', now - 600_000)).toBe('affirming')
    expect(tierAt('production', 'affirming', now - 600_001)).toBeUndefined()
    const result = { tier: 'affirming', appraisedAt: now } as const
    expect(findAdmittedTier('production', result, { createdAt: now + 1 }, now)).toBeUndefined()
  })
})
