import { z } from 'zod'
import { encode, fromBase64url, type Json } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'
import { bytes, bytesWithin, json, timestamp } from '../wire.ts'
import { trustworthinessClaims } from './appraisal.ts'
import {
  type AppraisalInputs,
  anchorIdsOf,
  appraisePieces,
  type EvidenceAppraisal,
  type PieceOfEvidence,
  parsePolicyEvidence,
} from './appraise.ts'
import {
  type Activation,
  collateralKinds,
  type EvidenceFormatName,
  type ExpectedEvidence,
  evidenceFormatNames,
  MAX_COLLATERAL_BYTES,
  malformedEvidence,
  type TrustAnchor,
} from './evidence-format.ts'
import { evidencePoliciesOf, type PolicyDocument } from './policy.ts'
import { parseCertificate } from './x509/parse-certificate.ts'

const formatName = z.enum(evidenceFormatNames)
const attesterId = z.string().max(128)

/** What was known of an attester. Of a secret that it was asked to open stands its hash here: `bundledAttester`. */
const attester = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('known'), id: attesterId, state: json }),
  z.strictObject({
    kind: z.literal('enrolling'),
    activation: z.strictObject({ attesterId, state: json, secretHash: bytes(32) }).optional(),
  }),
])

const anchor = z.strictObject({
  lookupId: z.string().max(160),
  kind: z.enum(['root', 'intermediate', 'key']),
  der: bytesWithin(1, 65_536),
})

const collateral = z.strictObject({
  lookupId: z.string().max(160),
  kind: z.enum(collateralKinds),
  issuedAt: timestamp,
  nextUpdateAt: timestamp.optional(),
  body: bytesWithin(1, MAX_COLLATERAL_BYTES),
  chain: z.array(bytesWithin(1, 8192)).max(4),
})

const finding = z.strictObject({
  check: z.string(),
  claim: z.enum(trustworthinessClaims),
  value: z.int().min(-128).max(127),
  detail: z.string(),
})

/** Everything that evidence was appraised with, so that it can be appraised again without the service, by any policy: docs/policies.md. */
export const evidenceBundle = z
  .strictObject({
    v: z.literal(1),
    /** As it was signed. */
    evidence: z.array(z.record(z.string(), json)).min(1).max(8),
    /** What the evidence had to carry. */
    binding: bytes(32),
    /** The key of the device that is in the binding. Bundles of before have none: no format of theirs looks at it. */
    identityKey: bytesWithin(1, 4096).optional(),
    /** When it was appraised. */
    at: timestamp,
    /** As it was known before this evidence; without a format, `enrolling` without an activation. */
    attesters: z.partialRecord(formatName, attester),
    /** Those that the evidence names, and what stands above them, as they were then. */
    anchors: z.partialRecord(formatName, z.array(anchor)),
    /** Those that the evidence names, as they were then. Bundles of before have none. */
    collateral: z.partialRecord(formatName, z.array(collateral)).optional(),
    /** All values of the names that the policy gives, as they were then; a name that had none stands here without any. */
    referenceValues: z.partialRecord(formatName, z.array(z.strictObject({ name: z.string(), values: z.array(json) }))),
    /** What the service found. */
    result: z
      .strictObject({
        tier: z.enum(['none', 'affirming', 'warning', 'contraindicated']),
        policyId: z.string(),
        /** The document of that policy, as it is stored. */
        policy: z.record(z.string(), json),
        findings: z.partialRecord(formatName, z.array(finding)),
      })
      .optional(),
  })
  .meta({ id: 'EvidenceBundle' })
export type EvidenceBundle = z.output<typeof evidenceBundle>
/** The same with its bytes as base64url text: what a route answers, and what stands in a file. */
export type WireEvidenceBundle = z.input<typeof evidenceBundle>
export type BundledAttester = z.output<typeof attester>

export function toWireBundle(bundle: EvidenceBundle): WireEvidenceBundle {
  return z.encode(evidenceBundle, bundle)
}

/**
 * What an attester was expected to be, as a bundle keeps it. In the evidence of every format that activates keys the opened secret is the
 * member `activatedSecret`, base64url. The bundle has the hash of the secret that was asked for: evidence that opened it is recognized
 * by the hash, any other fails as it did then, and the secret itself stands in no bundle but inside of evidence that opened it.
 */
export function bundledAttester(crypto: Primitives, expected: ExpectedEvidence['attester']): BundledAttester {
  if (expected.kind === 'known') return expected
  const { activation } = expected
  if (activation === undefined) return { kind: 'enrolling' }
  const { attesterId: id, state, secret } = activation
  return { kind: 'enrolling', activation: { attesterId: id, state, secretHash: activationSecretHash(crypto, secret) } }
}

/** 32 bytes. Who stores this in place of a secret that was answered can still replay the answer. */
export function activationSecretHash(crypto: Primitives, secret: Uint8Array): Uint8Array {
  return crypto.hash256(encode('QFLARE-v1 activation secret', secret))
}

/** The verdict of a policy on what is in a bundle: of the policy of that time, the verdict of that time. Throws `evidence_malformed`. */
export function appraiseBundle(
  crypto: Primitives,
  document: PolicyDocument,
  bundle: EvidenceBundle,
): EvidenceAppraisal {
  const pieces = parsePolicyEvidence(document, bundle.evidence)
  try {
    return appraisePieces(pieces.map((piece) => ({ ...piece, ...inputsOf(crypto, piece, bundle) })))
  } catch (error) {
    if (error instanceof ProtocolError) throw error
    // Anchors, states and values that the service looks at when it takes them: here they are of whoever wrote the bundle.
    throw malformedEvidence('A trust anchor, state or reference value of the bundle is none of its format.', {
      cause: error,
    })
  }
}

function inputsOf(crypto: Primitives, piece: PieceOfEvidence, bundle: EvidenceBundle): AppraisalInputs {
  const { format, policy } = piece
  const attester = expectedAttester(crypto, format, bundle)
  return {
    anchors: anchorsAbove(anchorIdsOf(piece, attester), bundle.anchors[format] ?? []),
    collateral: (bundle.collateral?.[format] ?? [])
      .filter(({ lookupId }) => piece.parsed.collateralIds.includes(lookupId))
      .map(({ nextUpdateAt, ...one }) => ({ ...one, nextUpdateAt })),
    referenceValues: (bundle.referenceValues[format] ?? [])
      .filter(({ name }) => policy.referenceValues.includes(name))
      .flatMap(({ values }) => values),
    expected: {
      binding: bundle.binding,
      identityKey: bundle.identityKey ?? new Uint8Array(),
      now: bundle.at,
      attester,
    },
  }
}

/** Those that evidence names, and what stands above an intermediate certificate that it does not bring along: as the service finds them. */
function anchorsAbove(lookupIds: readonly string[], all: readonly TrustAnchor[]): TrustAnchor[] {
  const asked = new Set<string>()
  const found: TrustAnchor[] = []
  for (let next = lookupIds; next.length > 0; ) {
    const wanted = next
    for (const id of wanted) asked.add(id)
    const rows = all.filter(({ lookupId }) => wanted.includes(lookupId))
    found.push(...rows)
    const above = rows.filter(({ kind }) => kind === 'intermediate').map(({ der }) => parseCertificate(der).issuerId)
    next = above.filter((id) => !asked.has(id))
  }
  return found
}

/** Reference values that a policy names and a bundle does not know: it was appraised by another policy. */
export function missingReferenceValues(
  document: PolicyDocument,
  bundle: EvidenceBundle,
): { format: EvidenceFormatName; name: string }[] {
  return evidencePoliciesOf(document).flatMap(([format, { referenceValues }]) => {
    const known = (bundle.referenceValues[format] ?? []).map(({ name }) => name)
    return referenceValues.filter((name) => !known.includes(name)).map((name) => ({ format, name }))
  })
}

function expectedAttester(
  crypto: Primitives,
  format: EvidenceFormatName,
  { attesters, evidence }: EvidenceBundle,
): ExpectedEvidence['attester'] {
  const bundled = attesters[format]
  if (bundled?.kind === 'known') return bundled
  if (bundled?.activation === undefined) return { kind: 'enrolling', activation: undefined }
  const piece = evidence.find((one) => one.format === format)
  return { kind: 'enrolling', activation: replayedActivation(crypto, bundled.activation, piece?.activatedSecret) }
}

/** With the secret that the evidence opened, where it is the one of the hash; otherwise with one that it did not. */
function replayedActivation(
  crypto: Primitives,
  { attesterId: id, state, secretHash }: { attesterId: string; state: Json; secretHash: Uint8Array },
  activatedSecret: Json | undefined,
): Activation {
  const opened = parseSecret(activatedSecret)
  if (crypto.equal(activationSecretHash(crypto, opened), secretHash)) return { attesterId: id, state, secret: opened }
  return { attesterId: id, state, secret: opened.map((byte) => byte ^ 0xff) }
}

/** Some secret where there is none to read: whether that is malformed is the format's to say. */
function parseSecret(text: Json | undefined): Uint8Array {
  try {
    return typeof text === 'string' && text !== '' ? fromBase64url(text) : new Uint8Array(32)
  } catch (error) {
    if (error instanceof ProtocolError) return new Uint8Array(32)
    throw error
  }
}

/** Untrusted. Throws `evidence_malformed`. */
export function parseEvidenceBundle(value: unknown): EvidenceBundle {
  const parsed = evidenceBundle.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw malformedEvidence(`Not a bundle of evidence: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`)
}
