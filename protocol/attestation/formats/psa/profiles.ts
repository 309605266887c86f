import { malformedEvidence } from '../../evidence-format.ts'

/** The claims of a token, by the names that they have here. */
export type ClaimName =
  | 'bootSeed'
  | 'certificationReference'
  | 'clientId'
  | 'components'
  | 'implementationId'
  | 'instanceId'
  | 'lifecycle'
  | 'noMeasurements'
  | 'nonce'
  | 'profile'
  | 'verificationService'

/**
 * RFC 9783 §4. The boot seed is EAT's (268) there; it was 2397 in the drafts, and implementations that write the RFC's profile write it
 * so still.
 */
const currentClaims: ReadonlyMap<unknown, ClaimName> = new Map([
  [10, 'nonce'],
  [256, 'instanceId'],
  [265, 'profile'],
  [268, 'bootSeed'],
  [2394, 'clientId'],
  [2395, 'lifecycle'],
  [2396, 'implementationId'],
  [2397, 'bootSeed'],
  [2398, 'certificationReference'],
  [2399, 'components'],
  [2400, 'verificationService'],
])

/** draft-tschofenig-rats-psa-token-07, in the range for private use. */
const legacyClaims: ReadonlyMap<unknown, ClaimName> = new Map([
  [-75000, 'profile'],
  [-75001, 'clientId'],
  [-75002, 'lifecycle'],
  [-75003, 'implementationId'],
  [-75004, 'bootSeed'],
  [-75005, 'certificationReference'],
  [-75006, 'components'],
  [-75007, 'noMeasurements'],
  [-75008, 'nonce'],
  [-75009, 'instanceId'],
  [-75010, 'verificationService'],
])

export const profileNames = [
  'tag:psacertified.org,2023:psa#tfm',
  'http://arm.com/psa/2.0.0',
  'PSA_IOT_PROFILE_1',
] as const
export type ProfileName = (typeof profileNames)[number]

const current = { profileClaim: 265, own: currentClaims, foreign: legacyClaims }
const profiles: Record<ProfileName, typeof current> = {
  'tag:psacertified.org,2023:psa#tfm': current,
  'http://arm.com/psa/2.0.0': current,
  PSA_IOT_PROFILE_1: { profileClaim: -75000, own: legacyClaims, foreign: currentClaims },
}

/**
 * The claims by their names, as the profile that they name has them; their values are not looked at. Claims that no profile has are
 * left out (RFC 9783 §5.1), claims of another one are refused, and so is a claim that stands there twice. Throws
 * `evidence_malformed`.
 */
export function nameClaims(claims: ReadonlyMap<unknown, unknown>): {
  profile: ProfileName
  named: Partial<Record<ClaimName, unknown>>
} {
  const profile = profileNames.find((name) => claims.get(profiles[name].profileClaim) === name)
  if (profile === undefined) throw malformedEvidence('The token names no profile that is known.')
  const { own, foreign } = profiles[profile]
  const named: Partial<Record<ClaimName, unknown>> = {}
  for (const [key, value] of claims) {
    if (foreign.has(key)) throw malformedEvidence('The token mixes the claims of two profiles.')
    const name = own.get(key)
    if (name === undefined) continue
    if (Object.hasOwn(named, name)) throw malformedEvidence(`The token has its ${name} twice.`)
    named[name] = value
  }
  return { profile, named }
}
