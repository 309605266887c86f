import { writeFile } from 'node:fs/promises'
import { readPcrs } from '../tpm/read-pcrs.ts'
import { DEFAULT_PCRS } from '../tpm/tpm-attester.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import type { Flags, Values } from './flags.ts'
import { measureMachine } from './measure-machine.ts'
import { nameFlag } from './parse-values.ts'
import { printResult, toJson, toList } from './print.ts'
import { cannotWrite } from './secret-file.ts'
import { readVariable } from './settings.ts'
import { tpmFlags } from './tpm-flags.ts'

const { tcti, pcrs } = tpmFlags
const pcrFlags = {
  pcrs: { ...pcrs, help: 'the PCRs; default: 0 to 7' },
  'pcr-banks': tpmFlags['pcr-banks'],
  tcti,
} as const satisfies Flags

export const referenceMeasure = defineCommand({
  name: 'reference measure',
  isLocal: true,
  summary: 'Reads what this machine booted, as a reference value that allows machines which booted the same.',
  flags: {
    out: { type: 'string', value: 'FILE', help: 'writes it to a new file, for qflare reference import' },
    name: {
      ...nameFlag,
      help: 'by which policies call it; default: as the starter policies do, boot, guest (SEV-SNP) or trust-domain (TDX)',
    },
    ...pcrFlags,
    confidential: {
      type: 'boolean',
      help: 'of a confidential virtual machine, SEV-SNP or TDX: what was launched, in the place of PCRs',
    },
  },
  examples: [
    'qflare reference measure --pcrs 0,2,4,7 --out boot.json',
    'qflare reference measure --confidential --out guest.json',
  ],
  notes:
    'For a machine that is known to be good: what it says of itself nobody vouches for. PCRs need tpm2-tools and the right to use the TPM (group tss), --confidential needs root.',
  async run({ values }) {
    const idle = (['pcrs', 'pcr-banks', 'tcti'] as const).find((flag) => values[flag] !== undefined)
    if (values.confidential === true && idle !== undefined)
      throw usageError(`--${idle} is of a TPM, not of --confidential.`)
    const measured = values.confidential === true ? await measureMachine() : await measureBoot(values)
    const { out, name = measured.name } = values
    const reference = { format: measured.format, name, values: measured.values }
    if (out === undefined) {
      await printResult(true, reference, '')
      return undefined
    }
    await writeFile(out, `${toJson(reference, 2)}\n`, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
      throw cannotWrite(out, error)
    })
    const rows = measured.rows
    await printResult(values.json, { file: out, ...reference }, toList([['written to', out], ['name', name], ...rows]))
    return undefined
  },
})

async function measureBoot(values: Pick<Values<typeof pcrFlags>, keyof typeof pcrFlags>) {
  const selection = { pcrs: values.pcrs ?? DEFAULT_PCRS, banks: values['pcr-banks'] ?? (['sha256'] as const) }
  const read = await readPcrs(values.tcti ?? readVariable('TPM2TOOLS_TCTI'), selection)
  const banks = Object.entries(read).map(([bank, found]) => [
    bank,
    Object.fromEntries(Object.entries(found).map(([index, value]) => [index, [value]])),
  ])
  return {
    format: 'tpm2',
    name: 'boot',
    values: [{ pcrs: Object.fromEntries(banks) as object }],
    rows: Object.entries(read).map(([bank, found]): [string, string] => [bank, Object.keys(found).join(', ')]),
  }
}
