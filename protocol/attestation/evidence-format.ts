import type { z } from 'zod'
import type { Json } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Finding } from './appraisal.ts'

export const evidenceFormatNames = ['none', 'psa', 'tpm2'] as const
export type EvidenceFormatName = (typeof evidenceFormatNames)[number]

/** What an organization trusts, from its configuration only: never from inside of evidence. */
export interface TrustAnchor {
  /** How evidence names it: `subject:<hex SHA-256 of a DER Name>` of a certificate, or `<format>:<hex>` of a key. */
  lookupId: string
  /** A path ends at a root; an intermediate helps to get there and is checked like one that came with the evidence. */
  kind: 'root' | 'intermediate' | 'key'
  /** A certificate, or of a key the SubjectPublicKeyInfo. */
  der: Uint8Array
}

/** A secret that only the TPM with both keys could open (TPM 2.0 Part 1, "Credential Protection"). */
export interface Activation {
  attesterId: string
  state: Json
  secret: Uint8Array
}

/** What an attester is, over all of its evidence, and what has to be remembered of it. */
export interface Attester {
  /** Unique in an organization among those that live, at most 128 characters of ASCII. */
  id: string
  state: Json
}

export interface ExpectedEvidence {
  /** What evidence that carries a nonce has to carry: 32 bytes (docs/protocol.md §3). */
  binding: Uint8Array
  /** Milliseconds since the Unix epoch. */
  now: number
  /** What is known of the attester: at its enrolment the secret that it was asked to open, afterwards its state. */
  attester: { kind: 'enrolling'; activation: Activation | undefined } | ({ kind: 'known' } & Attester)
}

/** Evidence that could be read. Nothing of it is verified. */
export interface ParsedEvidence {
  /** Which trust anchors it needs. */
  readonly trustAnchorIds: readonly string[]
  /** Every cryptographic check. Throws `evidence_refused`. */
  verify(anchors: readonly TrustAnchor[], expected: ExpectedEvidence): VerifiedEvidence
}

/** Evidence that is what it says it is; whether that is good enough is the policy's to say. */
export interface VerifiedEvidence {
  /** Undefined where the format knows none. Its `state` is the new one. */
  readonly attester: Attester | undefined
  /** For people and for replays; values of signed bytes alone. */
  readonly claims: Json
  /** Pure: the same inputs give the same findings. `rules` and `referenceValues` are of the schemas of the format. */
  appraise(rules: Json, referenceValues: readonly Json[]): readonly Finding[]
}

/** A request for a credential, which could be read. */
export interface CredentialRequest {
  readonly trustAnchorIds: readonly string[]
  /** `random` gives that many random bytes. Throws `evidence_refused`. */
  challenge(
    anchors: readonly TrustAnchor[],
    given: { now: number; random: (length: number) => Uint8Array },
  ): { answer: { credentialBlob: Uint8Array; encryptedSecret: Uint8Array }; activation: Activation }
}

/** A format of evidence, as the service sees all of them. How to add one: CONTRIBUTING.md. */
export interface EvidenceFormat {
  readonly name: EvidenceFormatName
  /** What a policy may say of it. */
  readonly rules: z.ZodType<Json>
  /** One of its reference values. */
  readonly referenceValue: z.ZodType<Json>
  /** Untrusted. Throws `evidence_malformed`. */
  parse(evidence: Record<string, Json>): ParsedEvidence
  /** Of an attester that is known: those by which it was let in, and which have to be trusted still. */
  anchorIdsOf(state: Json): readonly string[]
  /** Where keys have to be activated before they enrol. Untrusted. Throws `evidence_malformed`. */
  readonly parseCredentialRequest?: (request: Record<string, Json>) => CredentialRequest
}

/** What one file of `formats/` says: pure functions, each with the types of its own format. */
export interface EvidenceFormatParts<Evidence, Claims, Rules extends Json, Reference extends Json> {
  name: EvidenceFormatName
  rules: z.ZodType<Rules>
  referenceValue: z.ZodType<Reference>
  /** Throws `evidence_malformed`, whatever it is given, and nothing else. */
  parseEvidence(evidence: Record<string, Json>): Evidence
  trustAnchorIds(evidence: Evidence): readonly string[]
  /** Of the state of an attester that is known; without it, none. */
  anchorIdsOf?(state: Json): readonly string[]
  /** Throws `evidence_refused`. */
  extractClaims(evidence: Evidence, anchors: readonly TrustAnchor[], expected: ExpectedEvidence): Claims
  attesterOf(claims: Claims): Attester | undefined
  claimsToJson(claims: Claims): Json
  appraise(claims: Claims, referenceValues: readonly Reference[], rules: Rules): readonly Finding[]
  parseCredentialRequest?: EvidenceFormat['parseCredentialRequest']
}

export function defineEvidenceFormat<Evidence, Claims, Rules extends Json, Reference extends Json>(
  parts: EvidenceFormatParts<Evidence, Claims, Rules, Reference>,
): EvidenceFormat {
  const { name, rules, referenceValue, parseCredentialRequest } = parts
  const readRules = once(rules)
  const readValue = once(referenceValue)
  return {
    name,
    rules,
    referenceValue,
    ...(parseCredentialRequest && { parseCredentialRequest }),
    anchorIdsOf: (state) => parts.anchorIdsOf?.(state) ?? [],
    parse(given) {
      const evidence = parts.parseEvidence(given)
      return {
        trustAnchorIds: parts.trustAnchorIds(evidence),
        verify(anchors, expected) {
          const claims = parts.extractClaims(evidence, anchors, expected)
          return {
            attester: parts.attesterOf(claims),
            claims: parts.claimsToJson(claims),
            appraise: (givenRules, values) =>
              parts.appraise(
                claims,
                values.map((value) => readValue(value)),
                readRules(givenRules),
              ),
          }
        },
      }
    },
  }
}

/** Of the same object it is the same: who keeps rules or values and gives them again has them read once. */
function once<T>(schema: z.ZodType<T>): (value: Json) => T {
  const known = new WeakMap<object, T>()
  return (value) => {
    if (typeof value !== 'object' || value === null) return schema.parse(value)
    const parsed = known.get(value) ?? schema.parse(value)
    known.set(value, parsed)
    return parsed
  }
}

/** For bytes that are no evidence of their format. */
export function malformedEvidence(message: string, options?: ErrorOptions): ProtocolError {
  return new ProtocolError('evidence_malformed', message, options)
}

/** For evidence that fails a check: `<format>.<check>`. */
export function refusedEvidence(check: string, message: string, options?: ErrorOptions): ProtocolError {
  return new ProtocolError('evidence_refused', message, { ...options, check })
}
