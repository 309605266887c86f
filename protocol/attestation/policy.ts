import { z } from 'zod'
import { canonicalJson, type Json, toBase64url } from '../encoding.ts'
import { displayName } from '../enrollment.ts'
import type { Primitives } from '../primitives.ts'
import { printable } from '../wire.ts'
import type { EvidenceFormat, EvidenceFormatName } from './evidence-format.ts'
import { evidenceFormats } from './formats.ts'

/** A tier with which a device may enrol: nobody enrols contraindicated. */
export const enrollingTiers = ['affirming', 'warning', 'none'] as const

const formatEntries = Object.entries(evidenceFormats) as [EvidenceFormatName, EvidenceFormat][]

const evidencePolicies = z.strictObject(
  Object.fromEntries(
    formatEntries.map(([name, { rules }]) => [
      name,
      z
        .strictObject({
          rules,
          referenceValues: z
            .array(displayName)
            .max(16)
            .default([])
            .meta({ description: 'names of reference values; what one of them allows is allowed' }),
        })
        .optional(),
    ]),
  ),
)

/** What a policy says of one format of evidence. */
export interface EvidencePolicy {
  rules: z.output<EvidenceFormat['rules']>
  referenceValues: string[]
}

/** An appraisal policy as it is written and stored: docs/policies.md. Which versions there are, and its id, is not in it. */
export const policyDocument = z
  .strictObject({
    v: z.literal(1),
    description: printable.max(512).optional(),
    evidence: evidencePolicies
      .refine((evidence) => Object.values(evidence).some((policy) => policy !== undefined), 'Names no format.')
      .meta({ description: 'exactly one piece of evidence of each of these formats' }),
    enroll: z.array(z.enum(enrollingTiers)).min(1).max(3).meta({ description: 'tiers with which a device may enrol' }),
  })
  .meta({ id: 'PolicyDocument' })
export type PolicyDocument = z.output<typeof policyDocument>

/** For fleets that only prove their keys: it admits, and never affirms anything. */
export const policyNone: PolicyDocument = {
  v: 1,
  description: 'Devices prove their identity key and nothing else.',
  evidence: { none: { rules: {}, referenceValues: [] } },
  enroll: ['none'],
}

/** The formats that a policy wants, each with what it says of it. */
export function evidencePoliciesOf(document: PolicyDocument): [EvidenceFormatName, EvidencePolicy][] {
  return formatEntries.flatMap(([name]) => {
    const policy = document.evidence[name]
    return policy === undefined ? [] : [[name, policy] as [EvidenceFormatName, EvidencePolicy]]
  })
}

/** As it is stored and hashed: canonical JSON, with what was left out spelled out, so that it stays what it was when a default changes. */
export function policyBody(document: PolicyDocument): string {
  // Parsed JSON: it has no member that is undefined, which the type of an optional one cannot say.
  return canonicalJson(document as Json)
}

/** base64url of 32 bytes, what `policy.created` says: SHA3-256 of that text. */
export function policyHash(crypto: Primitives, body: string): string {
  return toBase64url(crypto.hash256(new TextEncoder().encode(body)))
}
