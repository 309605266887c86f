import type { z } from 'zod'
import type { Json } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Finding } from './appraisal.ts'

export const evidenceFormatNames = ['none', 'android-key', 'apple-app-attest', 'psa', 'sev-snp', 'tdx', 'tpm2'] as const
export type EvidenceFormatName = (typeof evidenceFormatNames)[number]

/**
 * `crl`: of X.509 (RFC 5280 §5). `android-status-list`: what Google publishes of revoked attestation keys. `tdx-…`: what Intel publishes
 * of its platforms and of its quoting enclave (PCS API, version 4).
 */
export const collateralKinds = ['crl', 'android-status-list', 'tdx-tcb-info', 'tdx-qe-identity'] as const
export type CollateralKind = (typeof collateralKinds)[number]

/** What an organization trusts, from its configuration only: never from inside of evidence. */
export interface TrustAnchor {
  /** How evidence names it: `subject:<hex SHA-256 of a DER Name>` of a certificate, or `<format>:<hex>` of a key. */
  lookupId: string
  /** A path ends at a root; an intermediate helps to get there and is checked like one that came with the evidence. */
  kind: 'root' | 'intermediate' | 'key'
  /** A certificate, or of a key the SubjectPublicKeyInfo. */
  der: Uint8Array
}

/** Lists of everything that is revoked are the longest. */
export const MAX_COLLATERAL_BYTES = 3 << 20

/** What is published about evidence from time to time, and has an end: revocation lists, and what vendors say of their firmware. */
export interface Collateral {
  /** How evidence names it: `crl:<hex SHA-256 of the DER Name of its issuer>`, or as its kind says. */
  lookupId: string
  kind: CollateralKind
  /** Milliseconds since the Unix epoch; of an older one that was replaced nothing counts. */
  issuedAt: number
  /** From then on it is out of date: that is a finding, never a guess. Undefined where its kind names no end. */
  nextUpdateAt: number | undefined
  /** As it was published. The same object always has the same bytes: what was parsed of it may be kept with it. */
  body: Uint8Array
  /** Certificates that lead from its signature to a root, where they stand neither in it nor in the evidence; each in DER. */
  chain: readonly Uint8Array[]
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
  /** The public key of the device, as it is in the binding: of formats that can attest that very key. */
  identityKey: Uint8Array
  /** Milliseconds since the Unix epoch. */
  now: number
  /** What is known of the attester: at its enrolment the secret that it was asked to open, afterwards its state. */
  attester: { kind: 'enrolling'; activation: Activation | undefined } | ({ kind: 'known' } & Attester)
}

/** Evidence that could be read. Nothing of it is verified. */
export interface ParsedEvidence {
  /** Which trust anchors it needs. */
  readonly trustAnchorIds: readonly string[]
  /** Which collateral it is held against, whether there is any or not. */
  readonly collateralIds: readonly string[]
  /** Every cryptographic check. Throws `evidence_refused`. */
  verify(
    anchors: readonly TrustAnchor[],
    expected: ExpectedEvidence,
    collateral?: readonly Collateral[],
  ): VerifiedEvidence
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
  /** Without it, none. */
  collateralIds?(evidence: Evidence): readonly string[]
  /** Throws `evidence_refused`. What collateral there is decides nothing here: that it lacks or is out of date is a claim. */
  extractClaims(
    evidence: Evidence,
    anchors: readonly TrustAnchor[],
    expected: ExpectedEvidence,
    collateral: readonly Collateral[],
  ): Claims
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
        collateralIds: parts.collateralIds?.(evidence) ?? [],
        verify(anchors, expected, collateral = []) {
          const claims = parts.extractClaims(evidence, anchors, expected, collateral)
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
