import type { TrustworthinessTier } from '../attestation/ear.ts'

interface FederationPolicy {
  tiers: readonly TrustworthinessTier[]
  /** How old the newest attestation result may be, in milliseconds, and that it was made since the session was. */
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

/** Whether the newest attestation result of a device admits it at `now`. Times in milliseconds since the Unix epoch. */
export function isAdmitted(
  policy: FederationPolicyName,
  result: { tier: TrustworthinessTier; appraisedAt: number },
  session: { createdAt: number },
  now: number,
): boolean {
  const { tiers, freshness }: FederationPolicy = federationPolicies[policy]
  if (!tiers.includes(result.tier)) return false
  if (freshness === undefined) return true
  return result.appraisedAt >= session.createdAt && now - result.appraisedAt <= freshness.maxAgeMs
}
