import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { formatRoundCertificateFile, type RoundCertificateFile } from '../../protocol/rounds/round-certificate.ts'
import { verifyRoundCertificate } from '../../protocol/rounds/verify-round-certificate.ts'
import { wait } from '../wait.ts'
import { auditKeyFlags, readVerifierKeys } from './audit-keys.ts'
import { defineCommand } from './define-command.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { writeNewFile } from './new-file.ts'
import { parseRoundArguments } from './parse-values.ts'
import { printResult, toList } from './print.ts'
import { withProgress } from './progress.ts'
import {
  federationNotes,
  isDeviceNamed,
  openDeviceOf,
  openFederationsOf,
  type ServerFlags,
  type StateFlags,
  stateFlag,
} from './settings.ts'

/** The log covers an event a quarter of a second after its change; a busy machine takes longer. */
const PROVEN_WITHIN_MS = 15_000
const AGAIN_MS = 500

export const roundCertificate = defineCommand({
  name: 'round certificate',
  positionals: ['FEDERATION', 'ROUND'],
  summary: 'Fetches the certificate of a round that has ended, with the proof that the log holds it, into one file.',
  flags: {
    ...auditKeyFlags,
    out: { type: 'string', value: 'FILE', help: 'a new file; default: round-ROUND.json' },
    ...stateFlag,
  },
  examples: ['qflare round certificate 0199b0a4-7e1c-7000-8000-0000000000fe 7 --pin M6EuDp7nvvVZjk3MaVfvXg'],
  notes: `It is verified before it is written, under --pin or --key, or under what the coordinator's own state trusts; without any, qflare round verify does it later. A round that was closed this second has no proof yet: the command waits for it.\n\n${federationNotes} An auditor's token serves as well.`,
  async run({ values, positionals }) {
    const names = parseRoundArguments(positionals)
    const { pin, key, json, out = `round-${names.round}.json` } = values
    const crypto = await choosePrimitives()
    const auditKeys = key === undefined ? undefined : await readVerifierKeys(crypto, key)
    const fetchFile = await openSource(values, names, crypto)
    const file = await withProgress(() => untilProven(fetchFile))
    const isTrusted = pin !== undefined || auditKeys !== undefined
    if (isTrusted) verifyRoundCertificate(crypto, file, { rootPin: pin, auditKeys, requireProof: true })
    await writeNewFile(out, formatRoundCertificateFile(file))
    const { state, participants } = file.certificate
    const isVerified = isTrusted || isDeviceNamed(values)
    const shown = { ...names, state, participants: participants.length, verified: isVerified, file: out }
    const text = toList([
      ['round', `${names.round}, ${state}`],
      ['participants', participants.length],
      ['verified', isVerified ? 'yes' : 'not yet'],
      ['file', out],
      ['verify', `qflare round verify ${out} --pin ROOT_KID`],
    ])
    await printResult(json, shown, text)
    return undefined
  },
})

/** As a coordinator it comes verified. */
async function openSource(
  flags: ServerFlags & StateFlags,
  { federationId, round }: { federationId: string; round: number },
  crypto: Primitives,
): Promise<() => Promise<RoundCertificateFile>> {
  if (isDeviceNamed(flags)) {
    const coordinator = await openDeviceOf(flags, crypto)
    return () => coordinator.roundCertificate(federationId, round)
  }
  const federations = await openFederationsOf(flags)
  return () => federations.getRoundCertificate(federationId, round)
}

/** Exit code 1 where the log does not come to cover it. */
async function untilProven(fetchFile: () => Promise<RoundCertificateFile>): Promise<RoundCertificateFile> {
  const deadline = performance.now() + PROVEN_WITHIN_MS
  for (;;) {
    const file = await fetchFile()
    if (file.proof !== null) return file
    if (performance.now() > deadline) {
      throw new CommandError(
        exitCodes.refused,
        'The log does not cover the end of this round yet: is its sequencer running? Try again later.',
        'unavailable',
      )
    }
    await wait(AGAIN_MS)
  }
}
