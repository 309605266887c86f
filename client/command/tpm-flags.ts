import { akTypes } from '../tpm/attestation-key.ts'
import { ekTypes } from '../tpm/endorsement-key.ts'
import { type PcrBank, pcrBanks } from '../tpm/quote.ts'
import type { SealOptions } from '../tpm/sealed-file-store.ts'
import type { TpmAttesterOptions } from '../tpm/tpm-attester.ts'
import { usageError } from './exit-codes.ts'
import type { Flags, Values } from './flags.ts'
import { parseList } from './parse-values.ts'
import { readVariable } from './settings.ts'

const pcrsFlag = {
  type: 'string',
  value: '0,1,2,7',
  parse: parsePcrs,
  expects: 'indices of PCRs from 0 to 23, between commas',
} as const

/** Which PCRs the state is sealed to, and where the TPM is. */
export const sealingFlags = {
  tcti: {
    type: 'string',
    value: 'TCTI',
    help: 'where the TPM is, as tpm2-tools say it (or TPM2TOOLS_TCTI; default: the TPM of this machine)',
  },
  'seal-pcrs': { ...pcrsFlag, help: 'the PCRs that the state is sealed to; default: 0,2,7' },
} as const satisfies Flags

export const tpmFlags = {
  tpm: { type: 'boolean', help: 'prove the state of this device with its TPM 2.0' },
  seal: {
    type: 'boolean',
    help: 'encrypt the state under a key that the TPM gives out while its PCRs are as they are now',
  },
  ...sealingFlags,
  pcrs: { ...pcrsFlag, help: 'the PCRs that are attested; default: 0 to 7' },
  'pcr-banks': {
    type: 'string',
    value: 'A,B',
    parse: parseBanks,
    expects: `of ${pcrBanks.join(', ')}`,
    help: 'their banks; default: sha256',
  },
  'event-log': {
    type: 'string',
    value: 'FILE',
    help: "the firmware's log, or none; default: this machine's, where it can be read and no TCTI is given",
  },
  'ak-handle': {
    type: 'string',
    value: 'HANDLE',
    parse: (text: string) => (/^0x81[0-7][0-9a-f]{5}$/i.test(text) ? text : undefined),
    expects: 'a persistent handle from 0x81000000 to 0x817fffff',
    help: 'where the attestation key stays in the TPM; default: 0x8100f1a0',
  },
  'ak-type': { type: 'string', value: 'TYPE', choices: akTypes, help: 'of that key, where it is made; default: rsa' },
  'ek-type': {
    type: 'string',
    value: 'TYPE',
    choices: ekTypes,
    help: 'of the endorsement key, where the TPM has several; default: rsa where there is one',
  },
} as const satisfies Flags

type TpmValues = Pick<Values<typeof tpmFlags>, keyof typeof tpmFlags>

/** Undefined: without a TPM. Exit code 2 for flags that then say nothing. */
export function toAttesterOptions(values: TpmValues): TpmAttesterOptions | undefined {
  if (values.tpm !== true) {
    const idle = (['pcrs', 'pcr-banks', 'event-log', 'ak-handle', 'ak-type', 'ek-type'] as const).find(
      (flag) => values[flag] !== undefined,
    )
    if (idle !== undefined) throw usageError(`--${idle} goes with --tpm.`)
    if (values.tcti !== undefined && values.seal !== true) throw usageError('--tcti goes with --tpm or --seal.')
    return undefined
  }
  return {
    tcti: tctiOf(values),
    akHandle: values['ak-handle'],
    akType: values['ak-type'],
    ekType: values['ek-type'],
    pcrs: values.pcrs,
    banks: values['pcr-banks'],
    eventLog: values['event-log'] === 'none' ? false : values['event-log'],
  }
}

/** Undefined: not to be sealed. */
export function toSealOptions(values: Pick<TpmValues, 'tcti' | 'seal' | 'seal-pcrs'>): SealOptions | undefined {
  if (values.seal === true) return { tcti: tctiOf(values), pcrs: values['seal-pcrs'] }
  if (values['seal-pcrs'] !== undefined) throw usageError('--seal-pcrs goes with --seal.')
  return undefined
}

/** It is kept with the device: the variable may be another, or none, where it is used again. */
function tctiOf(values: Pick<TpmValues, 'tcti'>): string | undefined {
  return values.tcti ?? readVariable('TPM2TOOLS_TCTI')
}

function parsePcrs(text: string): number[] | undefined {
  const items = parseList(text)
  if (items.length === 0 || !items.every((item) => /^\d{1,2}$/.test(item) && Number(item) <= 23)) return undefined
  return [...new Set(items.map(Number))].sort((a, b) => a - b)
}

function parseBanks(text: string): PcrBank[] | undefined {
  const items = parseList(text.toLowerCase())
  const banks = pcrBanks.filter((bank) => items.includes(bank))
  return items.length > 0 && items.every((item) => banks.some((bank) => bank === item)) ? banks : undefined
}
