import { QflareError } from '../errors.ts'
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
  /** By bank and index, in hexadecimal. */
  pcrs: Record<string, Record<string, string>>
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
    pcrs: readPcrs(printed, selection),
  }
}

/** `sha256:0,1,7+sha384:0,1,7`. */
export function formatSelection({ pcrs, banks }: PcrSelection): string {
  return banks.map((bank) => `${bank}:${pcrs.join(',')}`).join('+')
}

/** What `tpm2 quote` prints of the PCRs that it read with its quote: a line for each bank, below it one for each PCR. */
function readPcrs(printed: string, { pcrs, banks }: PcrSelection): Quote['pcrs'] {
  const read: Quote['pcrs'] = {}
  for (const bank of banks) {
    const section = new RegExp(`^  ${bank}:\\n((?:    \\d+ *: 0x[0-9A-F]+\\n?)*)`, 'm').exec(printed)?.[1] ?? ''
    const values = [...section.matchAll(/(\d+) *: 0x([0-9A-F]+)/g)]
    if (values.length !== pcrs.length) {
      throw new QflareError(
        'tpm_refused',
        `The TPM has no PCRs of bank ${bank}: it is not switched on in the firmware.`,
      )
    }
    read[bank] = Object.fromEntries(values.map(([, index = '', value = '']) => [index, value.toLowerCase()]))
  }
  return read
}
