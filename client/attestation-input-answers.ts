import { z } from 'zod'
import { timestamp, uuid } from '../protocol/wire.ts'

// What the server answers of trust anchors and reference values (docs/api.md). What a newer server adds is passed on.

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
