import type { TrustworthinessTier } from '../attestation/ear.ts'

/** What a device may be found to be and still get keys: never contraindicated. */
export type AdmittedTier = Exclude<TrustworthinessTier, 'contraindicated'>

interface FederationPolicy {
  tiers: readonly AdmittedTier[]
  /** How old an attestation result may be, in milliseconds; it must not be older than the session either. */
  freshness: { maxAgeMs: number } | undefined
}

/** Who is admitted to a round (docs/protocol.md §5): the policies that are built in. */
export const federationPolicies = {
  /** Whoever enrolled, with evidence or without. */
  development: { tiers: ['affirming', 'warning', 'none'], freshness: undefined },
  production: { tiers: ['affirming'], freshness: { maxAgeMs: 600_000 } },
} as const satisfies Record<string, FederationPolicy>

export type FederationPolicyName = keyof typeof federationPolicies
export const federationPolicyNames = Object.keys(federationPolicies) as [
  FederationPolicyName,
  ...FederationPolicyName[],
]

/** The tier with which a result admits at `now`, or undefined. Times in milliseconds since the Unix epoch. */
export function findAdmittedTier(
  policy: FederationPolicyName,
  result: { tier: TrustworthinessTier; appraisedAt: number },
  session: { createdAt: number },
  now: number,
): AdmittedTier | undefined {
  const { tiers, freshness }: FederationPolicy = federationPolicies[policy]
  const isFresh =
    freshness === undefined ||
    (result.appraisedAt >= session.createdAt && now - result.appraisedAt <= freshness.maxAgeMs)
  return isFresh ? tiers.find((tier) => tier === result.tier) : undefined
}
