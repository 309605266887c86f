import { malformedEvidence } from '../../evidence-format.ts'
import { algorithmIds } from './algorithms.ts'
import { StructureReader } from './structure-reader.ts'

/** Of RSA-4096: algorithm, hash and size before it. */
export const MAX_SIGNATURE_BYTES = 518

/** TPMT_SIGNATURE (TPM 2.0 Part 2 §11.3.4) of RSA or ECDSA. */
export interface TpmSignature {
  algorithm: number
  hash: number
  value: { type: 'rsa'; bytes: Uint8Array } | { type: 'ecc'; r: Uint8Array; s: Uint8Array }
}

/** Exactly one TPMT_SIGNATURE. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseSignature(bytes: Uint8Array): TpmSignature {
  const reader = new StructureReader(bytes, 'TPMT_SIGNATURE')
  const algorithm = reader.uint16()
  const hash = reader.uint16()
  const value = readValue(reader, algorithm)
  reader.end()
  return { algorithm, hash, value }
}

function readValue(reader: StructureReader, algorithm: number): TpmSignature['value'] {
  switch (algorithm) {
    case algorithmIds.rsassa:
    case algorithmIds.rsapss:
      return { type: 'rsa', bytes: reader.sized(512) }
    case algorithmIds.ecdsa:
      return { type: 'ecc', r: reader.sized(66), s: reader.sized(66) }
    default:
      throw malformedEvidence('TPMT_SIGNATURE is of an algorithm that is not known.')
  }
}
