import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { exitCodes } from '../client/command/exit-codes.ts'
import { printResult, toList } from '../client/command/print.ts'
import { withProgress } from '../client/command/progress.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import { describeDifferences } from './audit-check.ts'
import type { BackupManifest } from './backup-manifest.ts'
import { catchSignals } from './catch-signals.ts'
import { defineOperation, environmentNotes } from './define-operation.ts'
import { formatBytes } from './format-bytes.ts'
import { type TriedBackup, tryBackup } from './try-backup.ts'
import { verifyBackup } from './verify-backup.ts'

export const backupVerify = defineOperation({
  name: 'backup verify',
  positionals: ['FOLDER'],
  summary: 'Restores a backup into a scratch folder, checks all that is in it, and removes it again.',
  flags: {
    'root-key': { type: 'string', value: 'FILE', help: 'the root key that was kept apart from the backup' },
    scratch: {
      type: 'string',
      value: 'FOLDER',
      help: 'where it is unpacked meanwhile, with room for all of it; default: the folder of temporary files',
    },
  },
  examples: ['qflare backup verify /mnt/backup/qflare-2026-11-22 --root-key /mnt/safe/root-key'],
  notes: `It needs the root key: the manifest is authenticated under it. qflare restore --check reads and hashes the files alone; this runs PostgreSQL with them, over a socket, and reads the whole audit log. No service is touched, and it works on any machine with this release.\n\n${environmentNotes}`,
  exitNotes: 'Exit code 1 when the backup cannot be restored, or its log is not what was signed.',
  async run({ values, positionals: [named = ''] }) {
    const crypto = await choosePrimitives()
    using interruption = catchSignals()
    const folder = resolve(named)
    const scratch = resolve(values.scratch ?? tmpdir())
    const { manifest, tried } = await withProgress(async (report) => {
      const backup = await verifyBackup({
        crypto,
        folder,
        rootKeyFile: values['root-key'],
        env: process.env,
        onProgress: (done, total) => report(`verifying: ${formatBytes(done)} of ${formatBytes(total)}`),
      })
      interruption.signal.throwIfAborted()
      const tried = await tryBackup({
        backup,
        crypto,
        folder,
        scratch,
        signal: interruption.signal,
        log: () => {},
        onProgress(what, done, total) {
          const counted = what === 'unpacking' ? [formatBytes(done), formatBytes(total)] : [done, total]
          report(`${what}: ${counted.join(' of ')}`)
        },
      })
      return { manifest: backup.manifest, tried }
    })
    const isGood = tried.log.differences.length === 0
    const { rootKid, trustDomain, qflareVersion, finishedAt } = manifest
    const shown = { isGood, folder, rootKid, trustDomain, qflareVersion, finishedAt, ...tried }
    await printResult(values.json, shown, describe(manifest, tried))
    return isGood ? exitCodes.ok : exitCodes.refused
  },
})

function describe(manifest: BackupManifest, { migrations, log, counts }: TriedBackup): string {
  const rows = toList([
    ['made', new Date(manifest.finishedAt).toISOString()],
    ['by', `QFLARE ${manifest.qflareVersion}, PostgreSQL ${manifest.postgresVersion}, ${migrations} migrations`],
    ['root of trust', `${manifest.rootKid}, ${manifest.trustDomain}`],
    ['organizations', String(counts.organizations)],
    ['devices', `${counts.principals} with coordinators, ${counts.identityKeys} identity keys`],
    ['attestations', String(counts.attestations)],
    ['federations', String(counts.federations)],
    ['audit log', `${log.size} entries, ${log.checkpoints} checkpoints, ${counts.waitingEvents} events that wait`],
  ])
  const headline =
    log.differences.length === 0
      ? 'The backup is whole: it was restored, ran, and its log is what was signed.'
      : `The backup can be restored, but its log is NOT what was signed:\n${describeDifferences(log.differences)}`
  return `${headline}\n\n${rows}`
}
