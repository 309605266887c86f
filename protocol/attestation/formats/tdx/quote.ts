import { createPublicKey, type KeyObject } from 'node:crypto'
import { malformedEvidence } from '../../evidence-format.ts'
import { StructureReader } from '../tpm2/structure-reader.ts'
import { type PckCertificates, parsePckChain } from './pck-certificate.ts'
import { parseQeReport, QE_REPORT_BYTES, type QeReport } from './qe-report.ts'
import { parseTdReport, type TdReport, tdReportBytes } from './td-report.ts'

/** With what follows the quote, which is nothing but zeros. */
export const MAX_QUOTE_BYTES = 16 << 10

/** A quote that could be read. Nothing of it is verified. */
export interface TdxQuote {
  version: number
  report: TdReport
  /** Header and report, with what version 5 says of the report between them. */
  signed: Uint8Array
  /** r and s, as all of its signatures are. */
  signature: Uint8Array
  attestationKey: { key: KeyObject; bytes: Uint8Array }
  qe: QeReport
  qeAuthData: Uint8Array
  qeSignature: Uint8Array
  certificates: PckCertificates
}

const HEADER_BYTES = 48
const ECDSA_P256 = 2
const TDX = 0x81
const INTEL_QE = Buffer.from('939a7233f79c4ca9940a0db3957f0607', 'hex')
/** What version 5 says of its report. */
const TD_REPORT_1_0 = 2
const TD_REPORT_1_5 = 3
const QE_REPORT_DATA = 6
const PCK_CHAIN = 5
const PAIR_BYTES = 64

/**
 * A quote of version 4 or 5 ("Intel TDX DCAP Quoting Library API", appendix A.3 and A.4), whose parts have exactly the lengths that
 * they say. Attacker-controlled input. Throws `evidence_malformed`.
 */
export function parseQuote(bytes: Uint8Array): TdxQuote {
  const reader = new StructureReader(bytes, 'The quote')
  const version = readHeader(reader.bytes(HEADER_BYTES))
  const length = version === 4 ? tdReportBytes['1.0'] : readReportLength(reader)
  const report = parseTdReport(reader.bytes(length))
  const signed = bytes.subarray(0, HEADER_BYTES + length + (version === 4 ? 0 : 6))
  const signatureData = new StructureReader(reader.bytes(reader.uint32le()), 'The signature of the quote')
  refuseAllButZeros(bytes.subarray(bytes.length - reader.remaining))
  const signature = signatureData.bytes(PAIR_BYTES)
  const attestationKey = readKey(signatureData.bytes(PAIR_BYTES))
  const certification = readPart(signatureData, QE_REPORT_DATA)
  const qe = parseQeReport(certification.bytes(QE_REPORT_BYTES))
  const qeSignature = certification.bytes(PAIR_BYTES)
  const qeAuthData = certification.bytes(certification.uint16le())
  const chain = readPart(certification, PCK_CHAIN)
  const certificates = parsePckChain(chain.bytes(chain.remaining))
  return { version, report, signed, signature, attestationKey, qe, qeAuthData, qeSignature, certificates }
}

/** Reserved bytes and those of the QE's own use say nothing. */
function readHeader(header: Uint8Array): number {
  const reader = new StructureReader(header, 'The header of the quote')
  const version = reader.uint16le()
  if (version !== 4 && version !== 5) throw malformedEvidence(`A quote of version ${version} is not known.`)
  if (reader.uint16le() !== ECDSA_P256) throw malformedEvidence('The attestation key is not one of ECDSA on P-256.')
  if (reader.uint32le() !== TDX) throw malformedEvidence('The quote is not one of a trust domain.')
  reader.bytes(4)
  if (!INTEL_QE.equals(reader.bytes(16))) throw malformedEvidence("The quoting enclave is not Intel's.")
  return version
}

function readReportLength(reader: StructureReader): number {
  const type = reader.uint16le()
  const length = reader.uint32le()
  const wanted = type === TD_REPORT_1_0 ? tdReportBytes['1.0'] : type === TD_REPORT_1_5 ? tdReportBytes['1.5'] : -1
  if (length !== wanted) throw malformedEvidence(`The quote holds no TD report: type ${type}, ${length} bytes.`)
  return length
}

/** Type, length and data, which are all that is left. */
function readPart(reader: StructureReader, wanted: number): StructureReader {
  const type = reader.uint16le()
  if (type !== wanted) throw malformedEvidence(`Certification data of type ${type} stand where type ${wanted} belongs.`)
  const data = reader.bytes(reader.uint32le())
  reader.end()
  return new StructureReader(data, 'The certification data')
}

/** Whoever copies a quote out of the buffer that it was made in copies zeros with it. */
function refuseAllButZeros(rest: Uint8Array): void {
  if (rest.some((byte) => byte !== 0)) throw malformedEvidence('More than zeros follow the quote.')
}

function readKey(bytes: Uint8Array): TdxQuote['attestationKey'] {
  const [x = '', y = ''] = [bytes.subarray(0, 32), bytes.subarray(32)].map((part) =>
    Buffer.from(part).toString('base64url'),
  )
  try {
    return { key: createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' }), bytes }
  } catch (cause) {
    throw malformedEvidence('The attestation key is no point of P-256.', { cause })
  }
}
