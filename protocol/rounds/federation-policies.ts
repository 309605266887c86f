import type { TrustworthinessTier } from '../attestation/ear.ts'
import { MISSED_UNTIL_OVERDUE } from '../attestation/intervals.ts'

/** What a device may be found to be and still get keys: never contraindicated. */
export type AdmittedTier = Exclude<TrustworthinessTier, 'contraindicated'>

/** What a federation asks of who is admitted to its rounds. */
export interface FederationTerms {
  tiers: readonly AdmittedTier[]
  /**
   * How old an attestation result may be, in milliseconds. It must be of the session then, and no two may be missing since; without it
   * any result for the identity key counts.
   */
  maxAgeMs: number | undefined
}

/** The policies that are built in (docs/protocol.md §5). */
export const federationPolicies = {
  /** Whoever enrolled, with evidence or without. */
  development: { tiers: ['affirming', 'warning', 'none'], maxAgeMs: undefined },
  production: { tiers: ['affirming'], maxAgeMs: 600_000 },
} as const satisfies Record<string, FederationTerms>

export type FederationPolicyName = keyof typeof federationPolicies

/** One spelling for one meaning: the tiers in this order, and behind a slash the age in seconds, which is an interval of attestations at least. */
const NAMES = Object.keys(federationPolicies).join('|')
const TIERS = 'affirming(?:,warning)?(?:,none)?|warning(?:,none)?|none'
export const federationPolicyPattern = new RegExp(`^(?:${NAMES}|(?:${TIERS})(?:/(?:[3-9][0-9]{2}|[1-9][0-9]{3,4}))?)$`)

/** Of the name of a built-in policy, or of terms in that spelling (`affirming,warning/900`). Throws for what is neither. */
export function getFederationTerms(policy: string): FederationTerms {
  if (!federationPolicyPattern.test(policy)) throw new Error(`There is no federation policy ${policy}.`)
  if (policy in federationPolicies) return federationPolicies[policy as FederationPolicyName]
  const [tiers = '', seconds] = policy.split('/')
  return {
    tiers: tiers.split(',') as AdmittedTier[],
    maxAgeMs: seconds === undefined ? undefined : Number(seconds) * 1_000,
  }
}

/** Why what is known of a device does not admit it, though there is a result for its key. */
export type ResultRefusal = 'tier_refused' | 'attestation_overdue' | 'attestation_stale'

/**
 * The tier with which the newest result of a device admits it at `now`, or why it does not. Where the terms ask for fresh results,
 * one counts for the session that its evidence was bound to, and for no other; that of an enrolment is of none.
 * Times in milliseconds since the Unix epoch.
 */
export function judgeResult(
  { tiers, maxAgeMs }: FederationTerms,
  result: { tier: TrustworthinessTier; appraisedAt: number; sessionId: string | undefined },
  device: { sessionId: string; attestationsMissed: number },
  now: number,
): { tier: AdmittedTier } | ResultRefusal {
  const tier = tiers.find((admitted) => admitted === result.tier)
  if (tier === undefined) return 'tier_refused'
  if (maxAgeMs === undefined) return { tier }
  if (device.attestationsMissed >= MISSED_UNTIL_OVERDUE) return 'attestation_overdue'
  const isFresh = result.sessionId === device.sessionId && now - result.appraisedAt <= maxAgeMs
  return isFresh ? { tier } : 'attestation_stale'
}
