import type { EvidenceFormatName, TrustAnchor } from '../../protocol/attestation/evidence-format.ts'
import type { Json } from '../../protocol/encoding.ts'
import type { AttestationInputs } from '../../server/services/appraise-evidence.ts'

interface Dated {
  from: number
  until: number
}

/** What organizations trust and expect, as tests say it; each from a time until another. */
export const memoryInputs = {
  anchors: [] as (Dated & TrustAnchor)[],
  values: [] as (Dated & { name: string; format: EvidenceFormatName; value: Json })[],
}

export function createMemoryInputs(): AttestationInputs {
  const isOf = (at: number) => (one: Dated) => one.from <= at && at < one.until
  return {
    findTrustAnchors: async (_tx, { lookupIds, at }) =>
      memoryInputs.anchors.filter(isOf(at)).filter(({ lookupId }) => lookupIds.includes(lookupId)),
    listReferenceValues: async (_tx, { names, at, format }) =>
      memoryInputs.values
        .filter(isOf(at))
        .filter((one) => one.format === format && names.includes(one.name))
        .map(({ value }) => value),
  }
}
