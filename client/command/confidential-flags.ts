import type { ConfidentialAttesterOptions } from '../confidential/confidential-attester.ts'
import { usageError } from './exit-codes.ts'
import type { Flags, Values } from './flags.ts'
import { reportsFolder } from './settings.ts'

export const confidentialFlags = {
  confidential: {
    type: 'boolean',
    help: 'prove the state of this confidential virtual machine, SEV-SNP or TDX',
  },
  certificates: {
    type: 'string',
    value: 'FILE',
    multiple: true,
    help: 'certificates of AMD, in DER or PEM, where the host gives none with a report; once for each file',
  },
} as const satisfies Flags

type ConfidentialValues = Pick<Values<typeof confidentialFlags>, keyof typeof confidentialFlags>

/** Undefined: not as such a machine. Exit code 2 for a flag that then says nothing. */
export function toConfidentialOptions(values: ConfidentialValues): ConfidentialAttesterOptions | undefined {
  const { confidential, certificates } = values
  if (confidential === true) return { reports: reportsFolder(), certificates }
  if (certificates !== undefined) throw usageError('--certificates goes with --confidential.')
  return undefined
}
