import { hashOf, type TpmHash, tpmHashes } from './structures.ts'

function le16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

export function le32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

export interface LogHeader {
  pcr: number
  type: number
  digest: Uint8Array
  signature: string
  banks: readonly (readonly [algorithm: number, length: number])[]
  count: number
  vendor: Uint8Array
  behind: Uint8Array
}

const lengths: Record<TpmHash, number> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 }
export const bankOf = (hash: TpmHash) => [tpmHashes[hash], lengths[hash]] as const

/** TCG_EfiSpecIDEvent in an event of the old form. */
export function writeLogHeader(banks: readonly TpmHash[], changes: Partial<LogHeader> = {}): Buffer {
  const header: LogHeader = {
    pcr: 0,
    type: 3,
    digest: Buffer.alloc(20),
    signature: 'Spec ID Event03\0',
    banks: banks.map(bankOf),
    count: changes.banks?.length ?? banks.length,
    vendor: Buffer.alloc(0),
    behind: Buffer.alloc(0),
    ...changes,
  }
  const event = Buffer.concat([
    Buffer.from(header.signature),
    le32(0),
    Buffer.of(0, 2, 0, 2),
    le32(header.count),
    ...header.banks.flatMap(([algorithm, length]) => [le16(algorithm), le16(length)]),
    Buffer.of(header.vendor.length),
    header.vendor,
    header.behind,
  ])
  return Buffer.concat([le32(header.pcr), le32(header.type), header.digest, le32(event.length), event])
}

export interface TestLogEvent {
  pcr: number
  text: string
  type?: number
}

/** TCG_PCR_EVENT2. */
export function writeLogEvent(
  { pcr, text, type = 0x8000_0001 }: TestLogEvent,
  banks: readonly TpmHash[],
  changes: { count?: number; digests?: Uint8Array; length?: number } = {},
): Buffer {
  const data = Buffer.from(text, 'latin1')
  const digests = banks.map((bank) => Buffer.concat([le16(tpmHashes[bank]), hashOf(bank, data)]))
  const { count = banks.length, length = data.length } = changes
  return Buffer.concat([
    le32(pcr),
    le32(type),
    le32(count),
    changes.digests ?? Buffer.concat(digests),
    le32(length),
    data,
  ])
}

/** A log in the crypto agile form. */
export function writeEventLog(events: readonly TestLogEvent[], banks: readonly TpmHash[] = ['sha1', 'sha256']): Buffer {
  return Buffer.concat([writeLogHeader(banks), ...events.map((event) => writeLogEvent(event, banks))])
}
