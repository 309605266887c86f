import { malformedEvidence } from '../../evidence-format.ts'
import { findHash, type HashName, hashLengths } from './algorithms.ts'
import { type EventLog, type LoggedEvent, MAX_EVENTS, requirePcr } from './event-log.ts'
import { StructureReader } from './structure-reader.ts'

/** EV_NO_ACTION: says something, extends nothing. */
const NO_ACTION = 3
const SHA1_BYTES = 20
const HEADER = Buffer.from('Spec ID Event03\0')
const STARTUP_LOCALITY = Buffer.from('StartupLocality\0')

/**
 * The log of the firmware in its crypto agile form (TCG PC Client Platform Firmware Profile 1.06 §10): a header that names the banks,
 * then events with a digest for each. Attacker-controlled input. Throws `evidence_malformed`.
 */
export function parseTcgEventLog(bytes: Uint8Array): EventLog {
  const reader = new StructureReader(bytes, 'The event log')
  const lengths = readHeader(reader)
  const events: LoggedEvent[] = []
  let startupLocality = 0
  for (let count = 0; !reader.atEnd; count++) {
    if (count === MAX_EVENTS) throw malformedEvidence(`The event log has more than ${MAX_EVENTS} events.`)
    const pcr = reader.uint32le()
    const type = reader.uint32le()
    const digests = readDigests(reader, lengths)
    const event = reader.bytes(reader.uint32le())
    if (type !== NO_ACTION) events.push({ pcr: requirePcr(pcr), digestOf: (bank) => digests.get(bank) })
    else if (pcr === 0) startupLocality = readStartupLocality(event) ?? startupLocality
  }
  return { startupLocality, events }
}

/** The algorithms of the digests of each event, with their lengths in bytes. */
function readHeader(reader: StructureReader): ReadonlyMap<number, number> {
  const pcr = reader.uint32le()
  const type = reader.uint32le()
  const digest = reader.bytes(SHA1_BYTES)
  const header = new StructureReader(reader.bytes(reader.uint32le()), 'The header of the event log')
  const isHeader = pcr === 0 && type === NO_ACTION && digest.every((byte) => byte === 0)
  if (!isHeader || !HEADER.equals(header.bytes(HEADER.length))) {
    throw malformedEvidence('The event log does not begin with the header of its crypto agile form.')
  }
  // Class of the platform, version of the specification, size of a UINTN.
  header.bytes(8)
  const count = header.uint32le()
  if (count > 16) throw malformedEvidence('The event log names more banks than there are.')
  const lengths = new Map(Array.from({ length: count }, () => [header.uint16le(), header.uint16le()]))
  for (const [algorithm, length] of lengths) {
    const hash = findHash(algorithm)
    if (length > 64 || (hash !== undefined && length !== hashLengths[hash])) {
      throw malformedEvidence('The event log names a bank with another length than its own.')
    }
  }
  header.bytes(header.uint8())
  header.end()
  if (lengths.size !== count) throw malformedEvidence('The event log names a bank twice.')
  return lengths
}

/** TPML_DIGEST_VALUES: one digest for each bank that the header names, in any order. */
function readDigests(reader: StructureReader, lengths: ReadonlyMap<number, number>): ReadonlyMap<HashName, Uint8Array> {
  const count = reader.uint32le()
  const missing = new Set(lengths.keys())
  if (count !== missing.size) throw malformedEvidence('An event is not logged for each bank.')
  const digests = new Map<HashName, Uint8Array>()
  for (let index = 0; index < count; index++) {
    const algorithm = reader.uint16le()
    const bytes = reader.bytes(lengths.get(algorithm) ?? 0)
    missing.delete(algorithm)
    const bank = findHash(algorithm)
    if (bank !== undefined) digests.set(bank, bytes)
  }
  if (missing.size > 0) throw malformedEvidence('An event is not logged for each bank.')
  return digests
}

/** From which locality the TPM was started: PCR 0 then begins with it (PFP §10.4.5.3). */
function readStartupLocality(event: Uint8Array): number | undefined {
  const isLocality = event.length === 17 && STARTUP_LOCALITY.equals(event.subarray(0, 16))
  return isLocality ? event[16] : undefined
}
