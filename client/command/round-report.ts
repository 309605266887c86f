import type { VerifiedCheckpoint } from '../../protocol/log/checkpoint.ts'
import type { RoundCertificateFile } from '../../protocol/rounds/round-certificate.ts'
import type { RoundCheck, VerifiedRound } from '../../protocol/rounds/verify-round-certificate.ts'
import { CommandError, exitCodes } from './exit-codes.ts'
import { formatTime, printable, printResult, toList, toTable } from './print.ts'

/** What `qflare round verify` found. */
export interface RoundReport {
  source: string
  file: RoundCertificateFile
  checks: readonly RoundCheck[]
  logged: VerifiedRound['logged']
  /** Of a key that somebody holds; undefined where none was given. */
  held: { isCommitted: boolean; detail: string } | undefined
}

/** On stdout, whatever it says; exit code 1 when something was refused. */
export async function printRoundReport(json: boolean | undefined, report: RoundReport): Promise<void> {
  const { source, file, checks, logged, held } = report
  const refused = checks.find(({ outcome }) => outcome === 'refused')
  const isVerified = refused === undefined && held?.isCommitted !== false
  const shown = {
    verified: isVerified,
    source,
    checks: checks.map(({ check, outcome, detail }) => ({ check, outcome, detail })),
    roundKey: held ?? null,
    certificate: file.certificate,
    kid: file.signature.kid,
    logged: logged === undefined ? null : toJsonLogged(logged),
  }
  await printResult(json, shown, toText(report, isVerified))
  if (isVerified) return
  const reason = refused?.detail ?? held?.detail ?? ''
  const message = `${source} does not verify. ${reason} Keep it; docs/auditing.md says what to do next.`
  throw new CommandError(exitCodes.refused, printable(message), refused?.refusal?.code ?? 'round_invalid')
}

function toJsonLogged({ index, checkpoint }: { index: number; checkpoint: VerifiedCheckpoint }) {
  const { origin, size, signedAt } = checkpoint
  return { index, origin, size, signedAt }
}

function toText({ file, checks, held, logged }: RoundReport, isVerified: boolean): string {
  const { certificate } = file
  const now = Date.now()
  const heldRows: [string, string][] =
    held === undefined ? [] : [['round key', held.isCommitted ? held.detail : `REFUSED: ${held.detail}`]]
  const facts = toList([
    ['verified', isVerified ? 'yes' : 'NO'],
    ...checks.map(({ check, outcome, detail }): [string, string] => [
      check,
      outcome === 'refused' ? `REFUSED: ${detail}` : detail,
    ]),
    ...heldRows,
    ['round', `${certificate.round}, ${certificate.state}`],
    ['federation', certificate.federationId],
    ['organization', certificate.organizationId],
    ['policy', certificate.policy],
    ['minimum', certificate.minParticipants],
    ['opened', formatTime(certificate.openedAt, now)],
    ['closed', formatTime(certificate.closedAt, now)],
    ['aggregate', certificate.aggregateHash ?? 'none'],
    ...(logged === undefined ? [] : [['signed at', formatTime(logged.checkpoint.signedAt, now)] as [string, string]]),
  ])
  if (certificate.participants.length === 0) return facts
  const titles = ['DEVICE', 'TIER', 'EPOCH', 'SESSION', 'ATTESTATION']
  const rows = certificate.participants.map((one) => {
    return [one.deviceId, one.tier, String(one.epoch), one.sessionId, one.attestationId]
  })
  return `${facts}\n\n${toTable(titles, rows)}`
}
