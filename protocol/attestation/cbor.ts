import { decodeCbor } from './cbor/decode-cbor.ts'
import { malformedEvidence } from './evidence-format.ts'

/** A PSA token has three levels: its claims, their components, and the parts of these. */
const MAX_DEPTH = 8

/**
 * One value of CBOR of evidence, without tags, nested 8 deep at most; otherwise as `decodeCbor` says. Attacker-controlled input. Throws
 * `evidence_malformed`.
 */
export function parseCbor(bytes: Uint8Array, { preferred }: { preferred: boolean }): unknown {
  try {
    return decodeCbor(bytes, { preferred, maxDepth: MAX_DEPTH })
  } catch (cause) {
    throw malformedEvidence('The evidence is not CBOR of the form that it has to have.', { cause })
  }
}
