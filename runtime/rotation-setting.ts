import { z } from 'zod'
import type { TrustKey } from '../protocol/trust.ts'

/** Signing keys that follow each other by age; the root key is replaced by people. */
export const rotatedUses = ['bucket', 'attestation', 'audit'] as const satisfies TrustKey['use'][]
export type RotatedUse = (typeof rotatedUses)[number]

/** Milliseconds. */
export interface RotationTimes {
  /** How long a key signs. */
  signingKeyAge: Record<RotatedUse, number>
  /** How long a key is published before it signs: longer than anybody keeps a trust bundle or a key set in a cache. */
  overlap: Record<RotatedUse, number>
  /** How long a key-encryption key seals. */
  kekAge: number
}

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

const whole = (min: number, max: number, preset: number) =>
  z
    .string()
    .regex(/^[0-9]{1,6}$/, 'is not a decimal number')
    .transform(Number)
    .pipe(z.int().min(min).max(max))
    .default(preset)

/** A key is valid for two years: the longest age and the longest overlap together are less. */
export const rotationVariables = {
  QFLARE_SIGNING_KEY_DAYS: whole(1, 365, 90),
  QFLARE_SIGNING_KEY_OVERLAP_MINUTES: whole(10, 10_080, 60),
  QFLARE_AUDIT_KEY_DAYS: whole(1, 600, 365),
  QFLARE_AUDIT_KEY_OVERLAP_DAYS: whole(1, 30, 1),
  QFLARE_KEK_DAYS: whole(1, 3_650, 365),
} as const

export function rotationTimes(variables: Record<keyof typeof rotationVariables, number>): RotationTimes {
  const signing = variables.QFLARE_SIGNING_KEY_DAYS * DAY_MS
  const overlap = variables.QFLARE_SIGNING_KEY_OVERLAP_MINUTES * MINUTE_MS
  return {
    signingKeyAge: { bucket: signing, attestation: signing, audit: variables.QFLARE_AUDIT_KEY_DAYS * DAY_MS },
    overlap: { bucket: overlap, attestation: overlap, audit: variables.QFLARE_AUDIT_KEY_OVERLAP_DAYS * DAY_MS },
    kekAge: variables.QFLARE_KEK_DAYS * DAY_MS,
  }
}
