import { QflareError } from '../errors.ts'
import type { PcrSelection } from './quote.ts'
import { withTpmTools } from './tools.ts'

/** Values by bank and index, in lower-case hexadecimal. */
export type PcrValues = Record<string, Record<string, string>>

/** What the PCRs of a TPM are now. Throws `tpm_unavailable`, and `tpm_refused` where a bank is not switched on. */
export async function readPcrs(tcti: string | undefined, selection: PcrSelection): Promise<PcrValues> {
  const printed = await withTpmTools(tcti, (tools) => tools.run('pcrread', formatSelection(selection)))
  return parsePcrs(printed, selection)
}

/** `sha256:0,1,7+sha384:0,1,7`. */
export function formatSelection({ pcrs, banks }: PcrSelection): string {
  return banks.map((bank) => `${bank}:${pcrs.join(',')}`).join('+')
}

/** What the tools print of PCRs: a line for each bank, below it one for each PCR. Throws `tpm_refused` where some are missing. */
export function parsePcrs(printed: string, { pcrs, banks }: PcrSelection): PcrValues {
  const read: PcrValues = {}
  for (const bank of banks) {
    const section = new RegExp(`^ {2}${bank}:\\n((?: {4}\\d+ *: 0x[0-9A-F]+\\n?)*)`, 'm').exec(printed)?.[1] ?? ''
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
