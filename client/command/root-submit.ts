import { z } from 'zod'
import { ProtocolError } from '../../protocol/errors.ts'
import { trustBundle } from '../../protocol/trust.ts'
import { parseTrustFile } from '../../protocol/trust-draft.ts'
import { defineCommand } from './define-command.ts'
import { jobsNotes } from './jobs-list.ts'
import { printResult } from './print.ts'
import { readRegularFile, unusable } from './regular-file.ts'
import { openOperatorOf } from './settings.ts'

/** A bundle of 64 keys. */
const MAX_FILE_BYTES = 1 << 19

export const rootSubmit = defineCommand({
  name: 'root submit',
  positionals: ['FILE'],
  summary: 'Gives the signed trust bundle to the service, which gives it to devices from then on.',
  flags: {},
  examples: ['qflare root submit trust-signed.json'],
  notes: `Once more does nothing. When the service has drafted another one meanwhile (draft_mismatch), fetch and sign that.\n${jobsNotes}`,
  async run({ values, positionals: [path = ''] }) {
    const bytes = await readRegularFile(path, MAX_FILE_BYTES)
    const operator = await openOperatorOf(values)
    const trustSequence = await operator.submitTrust(z.encode(trustBundle, parse(path, bytes.toString('utf8'))))
    await printResult(values.json, { trustSequence }, `Devices get trust bundle ${trustSequence} from now on.`)
    return undefined
  },
})

function parse(path: string, text: string) {
  try {
    return parseTrustFile(trustBundle, text)
  } catch (error) {
    throw error instanceof ProtocolError ? unusable(`${path}: ${error.message}`) : error
  }
}
