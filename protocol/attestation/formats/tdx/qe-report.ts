import { StructureReader } from '../tpm2/structure-reader.ts'

export const QE_REPORT_BYTES = 384

/** Of the quoting enclave: a report of SGX. */
export interface QeReport {
  /** As it is signed. */
  bytes: Uint8Array
  /** As it stands there: 4 bytes. */
  miscSelect: Uint8Array
  attributes: Uint8Array
  mrSigner: string
  isvProdId: number
  isvSvn: number
  reportData: Uint8Array
}

/** Exactly 384 bytes. Throws `evidence_malformed`. */
export function parseQeReport(bytes: Uint8Array): QeReport {
  const reader = new StructureReader(bytes, 'The report of the quoting enclave')
  // CPUSVN
  reader.bytes(16)
  const miscSelect = reader.bytes(4)
  reader.bytes(28)
  const attributes = reader.bytes(16)
  // MRENCLAVE, which changes with each release: the signer vouches for all of them.
  reader.bytes(32 + 32)
  const mrSigner = Buffer.from(reader.bytes(32)).toString('hex')
  reader.bytes(96)
  const isvProdId = reader.uint16le()
  const isvSvn = reader.uint16le()
  reader.bytes(60)
  const reportData = reader.bytes(64)
  return { bytes, miscSelect, attributes, mrSigner, isvProdId, isvSvn, reportData }
}
