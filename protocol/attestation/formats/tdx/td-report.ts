import { StructureReader } from '../tpm2/structure-reader.ts'

export const tdReportBytes = { '1.0': 584, '1.5': 648 } as const

/** Measurements and identities of a trust domain, each of 48 bytes. */
export const tdRegisters = [
  'mrTd',
  'rtmr0',
  'rtmr1',
  'rtmr2',
  'rtmr3',
  'mrConfigId',
  'mrOwner',
  'mrOwnerConfig',
] as const
export type TdRegister = (typeof tdRegisters)[number]

/** The body of a quote; bytes in hexadecimal, as they stand there. */
export interface TdReport {
  teeTcbSvn: Uint8Array
  mrSeam: string
  mrSignerSeam: string
  seamAttributes: string
  /** Bit 0 is that of the first byte. */
  tdAttributes: bigint
  xfam: string
  registers: Record<TdRegister, string>
  reportData: Uint8Array
  /** Of TDX 1.5: the module that runs now, where `teeTcbSvn` is that of the launch. */
  teeTcbSvn2: Uint8Array | undefined
  mrServiceTd: string | undefined
}

const SVN_BYTES = 16
const HASH_BYTES = 48
const FLAGS_BYTES = 8

/** Of one of the two lengths. Throws `evidence_malformed`. */
export function parseTdReport(bytes: Uint8Array): TdReport {
  const reader = new StructureReader(bytes, 'The TD report')
  const hex = (length: number) => Buffer.from(reader.bytes(length)).toString('hex')
  const teeTcbSvn = reader.bytes(SVN_BYTES)
  const mrSeam = hex(HASH_BYTES)
  const mrSignerSeam = hex(HASH_BYTES)
  const seamAttributes = hex(FLAGS_BYTES)
  const tdAttributes = Buffer.from(reader.bytes(FLAGS_BYTES)).readBigUInt64LE()
  const xfam = hex(FLAGS_BYTES)
  const mrTd = hex(HASH_BYTES)
  const mrConfigId = hex(HASH_BYTES)
  const mrOwner = hex(HASH_BYTES)
  const mrOwnerConfig = hex(HASH_BYTES)
  const rtmrs = { rtmr0: hex(HASH_BYTES), rtmr1: hex(HASH_BYTES), rtmr2: hex(HASH_BYTES), rtmr3: hex(HASH_BYTES) }
  const reportData = reader.bytes(64)
  const isLonger = !reader.atEnd
  const teeTcbSvn2 = isLonger ? reader.bytes(SVN_BYTES) : undefined
  const mrServiceTd = isLonger ? hex(HASH_BYTES) : undefined
  reader.end()
  const registers = { mrTd, ...rtmrs, mrConfigId, mrOwner, mrOwnerConfig }
  const seam = { teeTcbSvn, mrSeam, mrSignerSeam, seamAttributes }
  return { ...seam, tdAttributes, xfam, registers, reportData, teeTcbSvn2, mrServiceTd }
}
