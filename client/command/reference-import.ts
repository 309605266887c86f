import { z } from 'zod'
import { MAX_CORIM_BYTES } from '../../protocol/attestation/corim/envelope.ts'
import type { Json } from '../../protocol/encoding.ts'
import { type CorimOfFile, corimLines, isCorim, readCorimFile } from './corim-file.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { nameFlag } from './parse-values.ts'
import { parseJsonBytes } from './policy-argument.ts'
import { printable, printResult, toTable } from './print.ts'
import { readRegularFile, unusable } from './regular-file.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

const referenceFile = z.strictObject({ format: z.string(), name: z.string(), values: z.array(z.json()).min(1) })

interface References {
  format: string
  name: string
  values: readonly Json[]
  corim?: CorimOfFile
}

export const referenceImport = defineCommand({
  name: 'reference import',
  positionals: ['FILE'],
  summary: 'Adds what evidence is compared with.',
  flags: {
    'dry-run': { type: 'boolean', help: 'says what would be added, and asks no server' },
    name: {
      ...nameFlag,
      help: 'of a CoRIM: by which policies call its values; default: as the starter policies do',
    },
    signer: {
      type: 'string',
      value: 'FILE',
      help: 'of a signed CoRIM: the public key that has to have signed it, or its certificate, in PEM',
    },
    unverified: { type: 'boolean', help: 'takes a signed CoRIM without a key to verify it with' },
    partial: {
      type: 'boolean',
      help: 'takes values of a CoRIM without conditions that no reference value can have, and lists them',
    },
  },
  examples: [
    'qflare reference import release-7.json',
    'qflare reference import firmware.cbor --signer vendor.pem --dry-run',
    'qflare reference import firmware.cbor --signer vendor.pem --name "release 7"',
  ],
  notes: `FILE is JSON: {"format": "tpm2", "name": "release 7", "values": [{"pcrs": {"sha256": {"0": ["hex"]}}}]}; or a CoRIM in CBOR for psa, sev-snp or tdx, of which corim.md says what is taken. Policies call values by their name; what one of a name allows is allowed. What a value may hold is in attestation-formats.md. What is there already stays as it is. With --json: {"items"}, or with --dry-run {"format", "name", "values"}; of a CoRIM with "corim" beside it. ${operatorNotes}`,
  async run({ values, positionals: [path = ''] }) {
    const now = Date.now()
    const found = await readReferences(path, values, now)
    const { corim, ...request } = found
    const about = corim === undefined ? [] : corimLines(corim, now)
    if (values['dry-run'] === true) {
      const text = [...about, toPreview(request)].join('\n')
      await printResult(values.json, found, text)
      return undefined
    }
    const { items } = await (await openInputsOf(values)).addReferenceValues(request)
    const lines = items.map(({ isNew, referenceValue: { id, name, valueHash } }) => {
      return `${id}  ${printable(name)} ${isNew ? 'is added' : 'was there before'}; SHA-256 ${valueHash}`
    })
    const result = corim === undefined ? { items } : { corim, items }
    await printResult(values.json, result, [...about, ...lines].join('\n'))
    return undefined
  },
})

interface ImportFlags {
  name: string | undefined
  signer: string | undefined
  unverified: boolean | undefined
  partial: boolean | undefined
}

async function readReferences(path: string, flags: ImportFlags, now: number): Promise<References> {
  const { name, signer, unverified = false, partial = false } = flags
  if (signer !== undefined && unverified) throw usageError('--unverified is for a CoRIM without --signer.')
  const bytes = await readRegularFile(path, MAX_CORIM_BYTES)
  if (isCorim(bytes)) {
    const found = await readCorimFile(path, bytes, { signer, unverified, partial }, now)
    return name === undefined ? found : { ...found, name }
  }
  if (name !== undefined || signer !== undefined || unverified || partial) {
    throw usageError('--name, --signer, --unverified and --partial are for a CoRIM.')
  }
  const { success, data, error } = referenceFile.safeParse(parseJsonBytes(path, bytes))
  if (!success) throw unusable(`${path} holds no reference values:\n${z.prettifyError(error)}`)
  return data as References
}

/** Every value, member by member. */
function toPreview({ format, name, values }: References): string {
  const rows = values.flatMap((value, index) => leavesOf(value).map(([member, text]) => [`${index + 1}`, member, text]))
  const count = values.length === 1 ? '1 value' : `${values.length} values`
  return `${toTable(['VALUE', 'MEMBER', 'IS'], rows)}\n${count} of ${format} would be added as ${printable(name)}.`
}

function leavesOf(value: Json, path: readonly string[] = []): [string, string][] {
  if (typeof value !== 'object' || value === null) return [[path.join('.'), String(value)]]
  return Object.entries(value).flatMap(([key, member]) => leavesOf(member as Json, [...path, key]))
}
