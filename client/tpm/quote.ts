import { formatSelection, type PcrValues, parsePcrs } from './read-pcrs.ts'
import type { TpmTools } from './tools.ts'

export const pcrBanks = ['sha256', 'sha384'] as const
export type PcrBank = (typeof pcrBanks)[number]

export interface PcrSelection {
  pcrs: readonly number[]
  banks: readonly PcrBank[]
}

export interface Quote {
  /** TPMS_ATTEST, as it was signed. */
  message: Uint8Array
  /** TPMT_SIGNATURE. */
  signature: Uint8Array
  pcrs: PcrValues
}

/** A quote over `binding` by the key at a handle. Throws `tpm_refused`, also where a bank is not switched on. */
export async function quotePcrs(
  tools: TpmTools,
  akHandle: string,
  binding: Uint8Array,
  selection: PcrSelection,
): Promise<Quote> {
  const qualification = ['--qualification', Buffer.from(binding).toString('hex')]
  // Without a file for the PCRs it does not print them either.
  const files = ['--message', 'quote', '--signature', 'signature', '--pcr', 'pcrs', '--pcrs_format', 'values']
  const args = ['--key-context', akHandle, '--pcr-list', formatSelection(selection)]
  const printed = await tools.run('quote', ...args, ...qualification, ...files, '--hash-algorithm', 'sha256')
  await tools.flush()
  return {
    message: await tools.read('quote'),
    signature: await tools.read('signature'),
    pcrs: parsePcrs(printed, selection),
  }
}
