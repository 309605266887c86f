import type { PolicyDocument } from './policy.ts'

/** How long after one attestation the next one is due, in milliseconds (docs/protocol.md §8). */
export const ATTESTATION_INTERVAL_MS = 300_000
/** So many missed in a row make a device overdue, until it attests again. */
export const MISSED_UNTIL_OVERDUE = 2

/** When a device that proved itself, or began a session, has to have attested again; undefined where its policy asks for nothing but its key. */
export function nextAttestationAt(document: PolicyDocument, now: number): number | undefined {
  const asksForMore = Object.entries(document.evidence).some(([format, policy]) => policy && format !== 'none')
  return asksForMore ? now + ATTESTATION_INTERVAL_MS : undefined
}
