import { malformedEvidence } from '../../evidence-format.ts'
import { StructureReader } from './structure-reader.ts'

/** The largest quote: a name of 66 bytes, 64 bytes of extra data, 16 selections and a digest of 64 bytes. */
export const MAX_ATTEST_BYTES = 384
/** TPM_GENERATED_VALUE: what no restricted key signs unless the TPM itself wrote it. */
export const TPM_GENERATED = 0xff544347
/** TPM_ST_ATTEST_QUOTE. */
export const ATTEST_QUOTE = 0x8018

/** The PCRs of one bank, ascending. */
export interface PcrSelection {
  /** TPM_ALG_ID, known or not. */
  bank: number
  pcrs: readonly number[]
}

/** TPMS_ATTEST (TPM 2.0 Part 2 §10.12.12), with what a quote attests where it is one. */
export interface Attest {
  /** What is signed. */
  bytes: Uint8Array
  magic: number
  type: number
  qualifiedSigner: Uint8Array
  extraData: Uint8Array
  /** Milliseconds. */
  clock: number
  resetCount: number
  restartCount: number
  /** Whether no value above `clock` was ever reported. */
  safe: boolean
  /** 8 bytes that the manufacturer counts upwards. */
  firmwareVersion: Uint8Array
  quote: { selections: readonly PcrSelection[]; pcrDigest: Uint8Array } | undefined
}

/** Exactly one TPMS_ATTEST, without a size before it. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseAttest(bytes: Uint8Array): Attest {
  const reader = new StructureReader(bytes, 'TPMS_ATTEST')
  const magic = reader.uint32()
  const type = reader.uint16()
  const head = {
    bytes,
    magic,
    type,
    qualifiedSigner: reader.sized(66),
    extraData: reader.sized(64),
    clock: reader.safeUint64(),
    resetCount: reader.uint32(),
    restartCount: reader.uint32(),
    safe: reader.yesNo(),
    firmwareVersion: reader.bytes(8),
  }
  if (type !== ATTEST_QUOTE) return { ...head, quote: undefined }
  const selections = readSelections(reader)
  const pcrDigest = reader.sized(64)
  reader.end()
  return { ...head, quote: { selections, pcrDigest } }
}

/** TPML_PCR_SELECTION. */
function readSelections(reader: StructureReader): PcrSelection[] {
  const count = reader.uint32()
  if (count > 16) throw malformedEvidence('TPMS_ATTEST selects from more banks than there are.')
  const selections = Array.from({ length: count }, () => {
    const bank = reader.uint16()
    const size = reader.uint8()
    if (size > 4) throw malformedEvidence('TPMS_ATTEST selects more PCRs than there are.')
    const mask = reader.bytes(size)
    const all = Array.from({ length: size * 8 }, (_, pcr) => pcr)
    return { bank, pcrs: all.filter((pcr) => ((mask[pcr >>> 3] as number) & (1 << (pcr & 7))) !== 0) }
  })
  if (new Set(selections.map(({ bank }) => bank)).size !== count) {
    throw malformedEvidence('TPMS_ATTEST selects from a bank twice.')
  }
  return selections
}
