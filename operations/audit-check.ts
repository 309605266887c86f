import { exitCodes } from '../client/command/exit-codes.ts'
import { printResult, toList } from '../client/command/print.ts'
import { withProgress } from '../client/command/progress.ts'
import { checkAuditLog, type LogCheckReport } from '../database/check-audit-log.ts'
import { toVerifierKeys } from '../protocol/log/audit-keys.ts'
import { logOrigin } from '../protocol/log/checkpoint.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import { readCheckpointFile } from '../runtime/checkpoint-file.ts'
import { catchSignals } from './catch-signals.ts'
import { configOf, dataDirectoryFlag, defineOperation, environmentNotes } from './define-operation.ts'
import { openLocalDatabase } from './local-database.ts'
import { openCustody } from './open-custody.ts'

export const auditCheck = defineOperation({
  name: 'audit check',
  summary: 'Reads the whole audit log in the database and reports every difference from what was signed.',
  flags: { ...dataDirectoryFlag },
  examples: ['qflare audit check', 'qflare audit check --json --data-dir /srv/qflare'],
  notes: `It changes nothing and needs no stop of the service. An auditor, who does not trust this machine, uses qflare audit verify.\n\n${environmentNotes}`,
  exitNotes: 'Exit code 1 when there is a difference.',
  async run({ values }) {
    const { env, config } = configOf(values)
    const crypto = await choosePrimitives(config.crypto)
    using interruption = catchSignals()
    const log = (message: string) => console.error(message)
    await using local = await openLocalDatabase(config, 'current', log, 'sequencer')
    const { database } = local
    const { serviceKeys } = await openCustody({ database, crypto, env, config })
    const keys = toVerifierKeys(crypto, logOrigin(config.trustDomain), serviceKeys.auditKeys)
    const report = await withProgress(async (show) =>
      checkAuditLog({
        database,
        crypto,
        keys,
        readCheckpointFile: () => readCheckpointFile(config.audit.checkpointFile),
        signal: interruption.signal,
        onProgress: (done, total) => show(`${done} of ${total} entries`),
      }),
    )
    await printResult(values.json, report, describe(report))
    return report.differences.length === 0 ? exitCodes.ok : exitCodes.refused
  },
})

function describe({ size, publishedSize, checkpoints, differences }: LogCheckReport): string {
  const rows = toList([
    ['entries', String(size)],
    ['published', String(publishedSize)],
    ['checkpoints', String(checkpoints)],
  ])
  if (differences.length === 0) return `The log is what was signed.\n\n${rows}`
  return `The log is NOT what was signed:\n${describeDifferences(differences)}\n\n${rows}`
}

export function describeDifferences(differences: LogCheckReport['differences']): string {
  const lines = differences.map(({ index, what }) => (index === undefined ? `- ${what}` : `- entry ${index} ${what}`))
  return lines.join('\n')
}
