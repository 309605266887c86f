import { refusedEvidence } from '../../evidence-format.ts'
import { digest, findHash, type HashName, hashLengths, hashNames } from './algorithms.ts'
import type { PcrSelection } from './attest.ts'

/** By bank in the order of the quote, by PCR ascending. */
export type PcrValues = ReadonlyMap<HashName, ReadonlyMap<number, Buffer>>

/** As they are sent: hex by PCR by bank. */
export type SentPcrs = Readonly<Partial<Record<HashName, Readonly<Record<string, string>>>>>

/** Exactly the selected PCRs, whose digest is the one that was quoted. Throws `evidence_refused`. */
export function verifyPcrs(
  sent: SentPcrs,
  { selections, pcrDigest }: { selections: readonly PcrSelection[]; pcrDigest: Uint8Array },
  hash: HashName,
): PcrValues {
  const values = new Map<HashName, ReadonlyMap<number, Buffer>>()
  for (const { bank: id, pcrs } of selections) {
    // TPMs name banks that they do not have, with no PCR in them.
    if (pcrs.length === 0) continue
    const bank = findHash(id)
    if (bank === undefined)
      throw refusedEvidence('tpm2.pcr_bank', 'The quote is of PCRs that are not of SHA-256 or SHA-384.')
    values.set(bank, new Map(pcrs.map((pcr) => [pcr, valueOf(sent, bank, pcr)])))
  }
  const counts = hashNames.map((bank) => [Object.keys(sent[bank] ?? {}).length, values.get(bank)?.size ?? 0])
  if (counts.some(([ofSent, ofQuoted]) => ofSent !== ofQuoted)) {
    throw refusedEvidence('tpm2.pcr_values', 'There are values of PCRs that are not quoted.')
  }
  const inOrder = [...values.values()].flatMap((bank) => [...bank.values()])
  if (!digest(hash, ...inOrder).equals(pcrDigest)) {
    throw refusedEvidence('tpm2.pcr_digest', 'The values of the PCRs are not those that were quoted.')
  }
  return values
}

function valueOf(sent: SentPcrs, bank: HashName, pcr: number): Buffer {
  const value = Buffer.from(sent[bank]?.[pcr] ?? '', 'hex')
  if (value.length !== hashLengths[bank])
    throw refusedEvidence('tpm2.pcr_values', `PCR ${pcr} (${bank}) is quoted and its value is missing.`)
  return value
}
