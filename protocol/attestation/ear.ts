import type { Json } from '../encoding.ts'
import type { AkpJwk } from '../jws.ts'
import type { TrustworthinessVector } from './appraisal.ts'

/** draft-ietf-rats-ear-04. */
export const EAR_PROFILE = 'tag:ietf.org,2026:rats/ear#04'
/** How long a result may be relied upon, in seconds. */
export const EAR_LIFETIME_SECONDS = 600

/** AR4SI's tiers, from the one that says least against a device to the worst. */
export const trustworthinessTiers = ['none', 'affirming', 'warning', 'contraindicated'] as const
export type TrustworthinessTier = (typeof trustworthinessTiers)[number]

/**
 * The claims of an attestation result (EAR, draft-ietf-rats-ear-04 §4); `identityKey` is the key that it speaks of (`cnf`, RFC 7800). A
 * vector has one claim at least, or is not there; ids of policies are texts, one or more.
 */
export function earClaims(result: {
  verifier: { developer: string; build: string }
  spiffeId: string
  identityKey: AkpJwk
  /** Milliseconds since the Unix epoch. */
  appraisedAt: number
  tier: TrustworthinessTier
  /** One entry per piece of evidence, by format. */
  appraisals: Record<string, { tier: TrustworthinessTier; vector: TrustworthinessVector }>
  policyId: string
}): Json {
  const iat = Math.floor(result.appraisedAt / 1000)
  return {
    eat_profile: EAR_PROFILE,
    iat,
    exp: iat + EAR_LIFETIME_SECONDS,
    sub: result.spiffeId,
    cnf: { jwk: { ...result.identityKey } },
    ear_verifier_id: { ...result.verifier },
    ear_status: result.tier,
    submods: Object.fromEntries(
      Object.entries(result.appraisals).map(([format, { tier, vector }]) => [
        format,
        {
          ear_status: tier,
          ...(Object.keys(vector).length > 0 && { ear_trustworthiness_vector: { ...vector } }),
          ear_appraisal_policy_ids: [result.policyId],
        },
      ]),
    ),
  }
}
