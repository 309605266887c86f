import { writeFile } from 'node:fs/promises'
import { readPcrs } from '../tpm/read-pcrs.ts'
import { DEFAULT_PCRS } from '../tpm/tpm-attester.ts'
import { defineCommand } from './define-command.ts'
import { nameFlag } from './parse-values.ts'
import { printResult, toJson, toList } from './print.ts'
import { cannotWrite } from './secret-file.ts'
import { readVariable } from './settings.ts'
import { tpmFlags } from './tpm-flags.ts'

const { tcti, pcrs } = tpmFlags

export const referenceMeasure = defineCommand({
  name: 'reference measure',
  isLocal: true,
  summary: 'Reads the PCRs of this machine, as a reference value that allows machines which booted the same.',
  flags: {
    out: { type: 'string', value: 'FILE', help: 'writes it to a new file, for qflare reference import' },
    name: { ...nameFlag, help: 'by which policies call it; default: boot, as the starter policies do' },
    pcrs: { ...pcrs, help: 'the PCRs; default: 0 to 7' },
    'pcr-banks': tpmFlags['pcr-banks'],
    tcti,
  },
  examples: ['qflare reference measure --pcrs 0,2,4,7 --out boot.json'],
  notes:
    'For a machine that is known to be good: what it says of itself nobody vouches for. It needs tpm2-tools and the right to use the TPM (group tss).',
  async run({ values }) {
    const selection = { pcrs: values.pcrs ?? DEFAULT_PCRS, banks: values['pcr-banks'] ?? (['sha256'] as const) }
    const read = await readPcrs(values.tcti ?? readVariable('TPM2TOOLS_TCTI'), selection)
    const banks = Object.entries(read).map(([bank, found]) => [
      bank,
      Object.fromEntries(Object.entries(found).map(([index, value]) => [index, [value]])),
    ])
    const { out, name = 'boot' } = values
    const reference = { format: 'tpm2', name, values: [{ pcrs: Object.fromEntries(banks) as object }] }
    if (out === undefined) {
      await printResult(true, reference, '')
      return undefined
    }
    await writeFile(out, `${toJson(reference, 2)}\n`, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
      throw cannotWrite(out, error)
    })
    const rows = Object.entries(read).map(([bank, found]): [string, string] => [bank, Object.keys(found).join(', ')])
    await printResult(values.json, { file: out, ...reference }, toList([['written to', out], ['name', name], ...rows]))
    return undefined
  },
})
