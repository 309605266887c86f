import { ProtocolError } from '../../protocol/errors.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { parseRoundCertificateFile, type RoundCertificateFile } from '../../protocol/rounds/round-certificate.ts'
import { checkRoundCertificate } from '../../protocol/rounds/verify-round-certificate.ts'
import { auditKeyFlags, readVerifierKeys } from './audit-keys.ts'
import { checkHeldKey } from './check-held-key.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { idFlag } from './parse-values.ts'
import { cannotRead, readRegularFile, unusable } from './regular-file.ts'
import { printRoundReport } from './round-report.ts'

/** 100,000 participants of 450 bytes, and what an editor adds. */
const MAX_FILE_BYTES = 64 << 20

export const roundVerify = defineCommand({
  name: 'round verify',
  positionals: ['FILE'],
  summary: 'Verifies the certificate of a round, without any network: who had which key in it, signed and logged.',
  isLocal: true,
  flags: {
    ...auditKeyFlags,
    device: {
      ...idFlag,
      expects: 'the id of a participant',
      help: 'of --round-key: whose it is',
    },
    'round-key': {
      type: 'string',
      value: 'FILE',
      help: "64 bytes, as qflare round key --out writes them: is it this device's key of the round?",
    },
  },
  examples: [
    'qflare round verify round-7.json --pin M6EuDp7nvvVZjk3MaVfvXg',
    'qflare round verify round-7.json --key audit.vkey',
  ],
  notes:
    'What you trust is --pin, a root key, which vouches for the key that signed, or --key, a key of the log, which holds the certificate; both are checked where both are given. protocol.md, section 5, says what is checked, and auditing.md what it means. With --json: {"verified", "checks": [{"check", "outcome", "detail"}], "certificate", …}.',
  exitNotes:
    'Here 1 means that something does not verify, which stdout says too; 4 that there is no such file, or it is no round certificate.',
  async run({ values, positionals: [path = ''] }) {
    const { pin, key, device, 'round-key': keyFile } = values
    if (pin === undefined && key === undefined) {
      throw usageError(
        'Either --pin or --key, or both: a certificate is verified under a key that you trust, not under one that came with it.',
      )
    }
    if ((device === undefined) !== (keyFile === undefined)) throw usageError('--round-key and --device go together.')
    const crypto = await choosePrimitives()
    const file = await readFile(path)
    const auditKeys = key === undefined ? undefined : await readVerifierKeys(crypto, key)
    const found = checkRoundCertificate(crypto, file, { rootPin: pin, auditKeys, requireProof: true })
    const held =
      device === undefined || keyFile === undefined
        ? undefined
        : await checkHeldKey(crypto, file.certificate, device, keyFile)
    await printRoundReport(values.json, { source: path, file, ...found, held })
    return undefined
  },
})

/** Exit code 4 for what is no certificate. */
async function readFile(path: string): Promise<RoundCertificateFile> {
  const bytes = await readRegularFile(path, MAX_FILE_BYTES)
  try {
    return parseRoundCertificateFile(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw error instanceof ProtocolError ? unusable(`${path}: ${error.message}`) : cannotRead(path, error)
  }
}
