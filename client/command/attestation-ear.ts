import { attestationIdName } from './attestation-show.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { printable, printResult } from './print.ts'
import { openAttestationsOf, operatorNotes } from './settings.ts'

export const attestationEar = defineCommand({
  name: 'attestation ear',
  positionals: ['ID'],
  summary: 'Prints an attestation result as it was signed: a JWT for whoever relies on it.',
  flags: {},
  examples: ['qflare attestation ear 0199b0a4-7e1c-7000-8000-0000000000a7'],
  notes: `Any library for JWTs that knows ML-DSA (RFC 9964) verifies it with the keys of GET /.well-known/jwks.json. With --json: {"ear"}. ${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, attestationIdName)
    const ear = await (await openAttestationsOf(values)).getAttestationEar(id)
    await printResult(values.json, { ear }, printable(ear))
    return undefined
  },
})
