import { z } from 'zod'
import { timestamp, uuid } from '../protocol/wire.ts'

// What the server answers of trust anchors, collateral and reference values (docs/api.md). What a newer server adds is passed on.

/** What an organization trusts. `isGenuine` is false where somebody else than an operator changed it: it counts for nothing. */
export const trustAnchor = z.looseObject({
  id: uuid,
  format: z.string(),
  kind: z.string(),
  lookupId: z.string(),
  name: z.string(),
  /** SHA-256 of the DER, in hexadecimal. */
  fingerprint: z.string(),
  /** base64url. */
  der: z.string(),
  isGenuine: z.boolean(),
  createdAt: timestamp,
  removedAt: timestamp.nullable(),
})
export type TrustAnchor = z.output<typeof trustAnchor>
export const addedTrustAnchors = z.looseObject({
  items: z.array(z.looseObject({ isNew: z.boolean(), trustAnchor })),
})
export type AddedTrustAnchors = z.output<typeof addedTrustAnchors>

const collateralFacts = {
  id: uuid,
  kind: z.string(),
  lookupId: z.string(),
  name: z.string(),
  issuedAt: timestamp,
  /** From then on it is out of date. Null: its kind names no end. */
  nextUpdateAt: timestamp.nullable(),
  /** SHA-256 of the body, in hexadecimal. */
  bodyHash: z.string(),
  bodyBytes: z.int(),
  isGenuine: z.boolean(),
  createdAt: timestamp,
  removedAt: timestamp.nullable(),
}
/** A revocation list or a statement of a vendor. */
export const collateral = z.looseObject(collateralFacts)
export type Collateral = z.output<typeof collateral>
/** `body` and `chain` in base64url. */
export const wholeCollateral = z.looseObject({ ...collateralFacts, body: z.string(), chain: z.array(z.string()) })
export type WholeCollateral = z.output<typeof wholeCollateral>
export const addedCollateral = z.looseObject({ isNew: z.boolean(), collateral })
export type AddedCollateral = z.output<typeof addedCollateral>

/** What evidence is compared with. */
export const referenceValue = z.looseObject({
  id: uuid,
  format: z.string(),
  name: z.string(),
  value: z.json(),
  /** SHA-256 of its canonical JSON, in hexadecimal. */
  valueHash: z.string(),
  isGenuine: z.boolean(),
  createdAt: timestamp,
  removedAt: timestamp.nullable(),
})
export type ReferenceValue = z.output<typeof referenceValue>
export const addedReferenceValues = z.looseObject({
  items: z.array(z.looseObject({ isNew: z.boolean(), referenceValue })),
})
export type AddedReferenceValues = z.output<typeof addedReferenceValues>
