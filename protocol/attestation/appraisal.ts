import { type TrustworthinessTier, trustworthinessTiers as tiers } from './ear.ts'

/** The claims of a trustworthiness vector: draft-ietf-rats-ar4si, by their names in JSON. */
export const trustworthinessClaims = [
  'instance-identity',
  'configuration',
  'executables',
  'file-system',
  'hardware',
  'runtime-opaque',
  'storage-opaque',
  'sourced-data',
] as const
export type TrustworthinessClaim = (typeof trustworthinessClaims)[number]
export type TrustworthinessVector = Partial<Record<TrustworthinessClaim, number>>

/** AR4SI's value for a claim whose cryptographic validation failed. */
export const CRYPTOGRAPHY_FAILED = 99

/** One line of a verdict: what was looked at, and what AR4SI calls the outcome. `value` is from −128 to 127. */
export interface Finding {
  /** `<format>.<check>`, such as `tpm2.pcrs`. */
  check: string
  claim: TrustworthinessClaim
  value: number
  /** What was found, against what was wanted; for people. Never a secret. */
  detail: string
}

/** AR4SI's tier of a value: −1 to 1 none, to 31 (−32) affirming, to 95 (−96) warning, beyond it contraindicated. */
export function tierOfValue(value: number): TrustworthinessTier {
  const distance = value < 0 ? -value - 1 : value
  if (distance < 2) return value < -1 ? 'affirming' : 'none'
  if (distance < 32) return 'affirming'
  if (distance < 96) return 'warning'
  return 'contraindicated'
}

/** The worst of them; of none at all, `none`. */
export function worstTier(found: readonly TrustworthinessTier[]): TrustworthinessTier {
  return tiers.findLast((tier) => found.includes(tier)) ?? 'none'
}

/** Of each claim the worst that was found of it. */
export function toTrustworthinessVector(findings: readonly Finding[]): TrustworthinessVector {
  const vector: TrustworthinessVector = {}
  for (const { claim, value } of findings) {
    const before = vector[claim]
    if (before === undefined || isWorse(value, before)) vector[claim] = value
  }
  return vector
}

export function tierOfVector(vector: TrustworthinessVector): TrustworthinessTier {
  return worstTier(Object.values(vector).map(tierOfValue))
}

function isWorse(value: number, than: number): boolean {
  const [mine, other] = [value, than].map((one) => tiers.indexOf(tierOfValue(one))) as [number, number]
  return mine === other ? Math.abs(value) > Math.abs(than) : mine > other
}
