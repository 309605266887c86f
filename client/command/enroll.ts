import { hostname } from 'node:os'
import { enrollmentCompletion, principalKinds } from '../../protocol/enrollment.ts'
import { signatureAlgorithmNames } from '../../protocol/suites.ts'
import type { Attester } from '../attester.ts'
import { type ConfidentialAttesterOptions, openConfidentialAttester } from '../confidential/confidential-attester.ts'
import { enrollDevice } from '../enroll-device.ts'
import { openTpmAttester, type TpmAttesterOptions } from '../tpm/tpm-attester.ts'
import { confidentialFlags, toConfidentialOptions } from './confidential-flags.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { printResult, toList } from './print.ts'
import { withProgress } from './progress.ts'
import { readSecretFile, readVariable, serverOptions, stateFlag, statePath } from './settings.ts'
import { makeStateStore } from './state-store.ts'
import { toAttesterOptions, toSealOptions, tpmFlags } from './tpm-flags.ts'

const MAX_TOKEN_BYTES = 1024

export const enroll = defineCommand({
  name: 'enroll',
  summary: 'Makes an identity key here and enrols it with the server that the token names.',
  flags: {
    'token-file': {
      type: 'string',
      value: 'FILE',
      help: 'the enrolment token (or QFLARE_ENROLLMENT_TOKEN; otherwise read from stdin)',
    },
    name: { type: 'string', value: 'NAME', help: '1 to 128 characters; default: the name of this machine' },
    kind: { type: 'string', value: 'KIND', choices: principalKinds, default: 'device', help: 'what it becomes' },
    alg: {
      type: 'string',
      value: 'ALGORITHM',
      choices: signatureAlgorithmNames,
      help: 'of the identity key; default: what the server names first',
    },
    ...tpmFlags,
    ...confidentialFlags,
    ...stateFlag,
  },
  examples: [
    'qflare enroll --name edge-1 --token-file device.token',
    'qflare token create | qflare enroll',
    'qflare enroll --tpm --seal --token-file device.token',
    'qflare enroll --confidential --token-file device.token',
  ],
  notes:
    'The state holds the private key: mode 0600, never in a backup, never copied to another machine. With --tpm the device proves in what state it is, and goes on to: qflare keep-fresh. It needs tpm2-tools and the right to use the TPM (group tss). With --confidential the same of a machine of SEV-SNP or TDX: as root, on Linux 6.7 or later; QFLARE_TSM_REPORTS names its folder of reports where that is not /sys/kernel/config/tsm/report.',
  async run({ values }) {
    const { kind, alg } = values
    const name = values.name ?? hostname()
    if (!enrollmentCompletion.shape.name.safeParse(name).success) {
      throw usageError('--name has 1 to 128 characters: no control or format characters, and at least one that shows.')
    }
    const path = statePath(values)
    const token = await readToken(values['token-file'])
    const wanted = { tpm: toAttesterOptions(values), confidential: toConfidentialOptions(values) }
    const device = await withProgress(async () => {
      const store = await makeStateStore(path, toSealOptions(values))
      const attesters = await openWanted(wanted)
      return enrollDevice({ ...serverOptions(values), token, name, kind, alg, store, attesters })
    })
    const status = await device.status()
    const { tier, policyId } = status.attestation ?? { tier: 'none', policyId: 'none' }
    const text = toList([
      ['device', status.deviceId],
      ['name', status.name],
      ['kind', status.kind],
      ['SPIFFE ID', status.spiffeId],
      ['identity key', `${status.identityKey.alg} ${status.identityKey.kid}`],
      ['attested', `${tier}, by policy ${policyId}`],
      ['server', status.serverUrl],
      ['state', values.seal === true ? `${path}, sealed to the TPM` : path],
    ])
    await printResult(values.json, { ...status, stateFile: path }, text)
    return undefined
  },
})

async function openWanted(wanted: {
  tpm: TpmAttesterOptions | undefined
  confidential: ConfidentialAttesterOptions | undefined
}): Promise<Attester[]> {
  return [
    ...(wanted.tpm === undefined ? [] : [await openTpmAttester(wanted.tpm)]),
    ...(wanted.confidential === undefined ? [] : [await openConfidentialAttester(wanted.confidential)]),
  ]
}

async function readToken(file: string | undefined): Promise<string> {
  if (file !== undefined) return readSecretFile(file, 'enrolment token')
  const variable = readVariable('QFLARE_ENROLLMENT_TOKEN')
  if (variable !== undefined) return variable
  if (process.stdin.isTTY)
    throw usageError('Give the token with --token-file, QFLARE_ENROLLMENT_TOKEN or a pipe to stdin.')
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk as string
    if (text.length > MAX_TOKEN_BYTES) throw usageError('What stdin gives is longer than a token.')
  }
  if (text.trim() === '') throw usageError('There is no token on stdin: did the command before it fail?')
  return text
}
