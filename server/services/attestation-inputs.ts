import type { AttestationInputs } from './appraise-evidence.ts'

/** What organizations trust and expect. */
export function createAttestationInputs(): AttestationInputs {
  return {
    findTrustAnchors: () => Promise.resolve([]),
    listReferenceValues: () => Promise.resolve([]),
  }
}
