import { z } from 'zod'
import { usedAnchor } from '../../x509/anchors.ts'

const hash = z.string().regex(/^[0-9a-f]{64}$/)

export const environments = ['production', 'development'] as const
export type Environment = (typeof environments)[number]

/** What is remembered of a device between two pieces of evidence: the key that Apple attested, and how often it signed. */
export const appAttestState = z.strictObject({
  /** SubjectPublicKeyInfo in hex. */
  key: z.string().regex(/^([0-9a-f]{2})+$/),
  /** SHA-256 of the point. */
  keyId: hash,
  appIdHash: hash,
  environment: z.enum(environments),
  counter: z.int(),
  /** Milliseconds since the Unix epoch. */
  attestedAt: z.int(),
  /** By which its certificate was verified. Those have to be trusted still. */
  anchors: z.array(usedAnchor).max(8),
})
export type AppAttestState = z.output<typeof appAttestState>
