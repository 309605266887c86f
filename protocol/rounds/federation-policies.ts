import type { TrustworthinessTier } from '../attestation/ear.ts'
import { MISSED_UNTIL_OVERDUE } from '../attestation/intervals.ts'

/** What a device may be found to be and still get keys: never contraindicated. */
export type AdmittedTier = Exclude<TrustworthinessTier, 'contraindicated'>

interface FederationPolicy {
  tiers: readonly AdmittedTier[]
  /** How old an attestation result may be, in milliseconds; it must be of the session, too, and no two may be missing since. */
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

/** Why what is known of a device does not admit it, though there is a result for its key. */
export type ResultRefusal = 'tier_refused' | 'attestation_overdue' | 'attestation_stale'

/**
 * The tier with which the newest result of a device admits it at `now`, or why it does not. Where the policy asks for fresh results,
 * one counts for the session that its evidence was bound to, and for no other; that of an enrolment is of none.
 * Times in milliseconds since the Unix epoch.
 */
export function judgeResult(
  policy: FederationPolicyName,
  result: { tier: TrustworthinessTier; appraisedAt: number; sessionId: string | undefined },
  device: { sessionId: string; attestationsMissed: number },
  now: number,
): { tier: AdmittedTier } | ResultRefusal {
  const { tiers, freshness }: FederationPolicy = federationPolicies[policy]
  const tier = tiers.find((admitted) => admitted === result.tier)
  if (tier === undefined) return 'tier_refused'
  if (freshness === undefined) return { tier }
  if (device.attestationsMissed >= MISSED_UNTIL_OVERDUE) return 'attestation_overdue'
  const isFresh = result.sessionId === device.sessionId && now - result.appraisedAt <= freshness.maxAgeMs
  return isFresh ? { tier } : 'attestation_stale'
}
