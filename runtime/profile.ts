import { type SignatureAlgorithm, signatureAlgorithmNames } from '../protocol/suites.ts'

/**
 * `QFLARE_PROFILE`: what a service signs with, what its log is signed with, and which identity keys may enrol. It is decided
 * at the first start and told by the keys that were made then; the key exchange is ML-KEM-1024 in each.
 */
export const profiles = {
  default: { signing: 'ML-DSA-44', audit: ['ML-DSA-44'], identity: signatureAlgorithmNames },
  // The C2SP cosignature is defined for ML-DSA-44 alone, so that the log keeps that line beside the one of ML-DSA-87.
  'cnsa-2.0': { signing: 'ML-DSA-87', audit: ['ML-DSA-44', 'ML-DSA-87'], identity: ['ML-DSA-87'] },
} as const satisfies Record<
  string,
  { signing: SignatureAlgorithm; audit: readonly SignatureAlgorithm[]; identity: readonly SignatureAlgorithm[] }
>

export type ProfileName = keyof typeof profiles
export const profileNames = Object.keys(profiles) as [ProfileName, ...ProfileName[]]

/** The profile of a service whose root key is of this algorithm; undefined where there is none. */
export function findProfileOf(rootAlg: SignatureAlgorithm): ProfileName | undefined {
  return profileNames.find((name) => profiles[name].signing === rootAlg)
}
