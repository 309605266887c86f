import { resolve } from 'node:path'
import { confirm, yesFlag } from '../client/command/confirm.ts'
import { usageError } from '../client/command/exit-codes.ts'
import { printResult, toList } from '../client/command/print.ts'
import { withProgress } from '../client/command/progress.ts'
import { inspectEmbedded } from '../database/inspect-embedded.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import type { Config } from '../runtime/config.ts'
import type { BackupManifest } from './backup-manifest.ts'
import { configOf, dataDirectoryFlag, defineOperation, environmentNotes } from './define-operation.ts'
import { formatBytes } from './format-bytes.ts'
import { openLocalDatabase } from './local-database.ts'
import { OperationError } from './operation-error.ts'
import { recordRestore, restoreBackup } from './restore-backup.ts'
import { type VerifiedBackup, verifyBackup } from './verify-backup.ts'

/** What a restore undoes without anybody seeing it. */
const forgotten = [
  'devices that were revoked or suspended since then are active again, and API tokens too: do it again',
  'devices that enrolled since then are unknown, and enrolment tokens that were used since then can be used again',
  'events since then are gone from the log',
  'all sessions are over: devices exchange again by themselves',
]

export const restore = defineOperation({
  name: 'restore',
  summary: 'Brings a backup back to a data folder without a database, with the root key that opens it, or not at all.',
  flags: {
    from: { type: 'string', value: 'FOLDER', help: 'the backup' },
    'root-key': { type: 'string', value: 'FILE', help: 'the root key that was kept apart from the backup' },
    check: { type: 'boolean', help: 'verify backup and root key, and restore nothing' },
    ...yesFlag,
    ...dataDirectoryFlag,
  },
  examples: [
    'qflare restore --from /mnt/backup/qflare-2026-11-22 --root-key /mnt/safe/root-key',
    'qflare restore --check --from /mnt/backup/qflare-2026-11-22 --root-key /mnt/safe/root-key',
  ],
  notes: `What happened after the backup is forgotten:\n${forgotten.map((line) => `- ${line}`).join('\n')}\n\n${environmentNotes}`,
  async run({ values }) {
    const { env, config } = configOf(values)
    if (values.from === undefined) throw usageError('--from FOLDER names the backup.')
    const folder = resolve(values.from)
    const isCheck = values.check === true
    if (!isCheck) await requireFreePlace(config)
    const crypto = await choosePrimitives(config.crypto)
    const rootKeyFile = values['root-key']
    const backup = await withProgress((report) =>
      verifyBackup({
        crypto,
        folder,
        rootKeyFile,
        env,
        onProgress: (done, total) => report(`verifying: ${formatBytes(done)} of ${formatBytes(total)}`),
      }),
    )
    if (isCheck) return say(values.json, 'The backup is whole, and the root key opens it.', backup.manifest)
    await confirm(
      values.yes,
      async () => `Restore what was there at ${momentOf(backup.manifest)} to ${config.dataDirectory}?`,
    )
    await place(backup, folder, config)
    await using local = await openLocalDatabase(config, 'migrated', (message) => console.error(message))
    await recordRestore({ database: local.database, crypto }, backup.manifest)
    return say(values.json, `Restored to ${config.dataDirectory}; npm start goes on from there.`, backup.manifest)
  },
})

async function requireFreePlace(config: Config): Promise<void> {
  const { dataDirectory } = config
  if (config.database !== undefined) {
    throw new OperationError(
      'not_embedded',
      'The database is at DATABASE_URL: restore it with its own tools (docs/operations.md). qflare backup --check then sees whether the root key is its.',
    )
  }
  const found = await inspectEmbedded(dataDirectory)
  if (found.state === 'none') return
  const what =
    found.state === 'unreadable' ? found.reason : `${dataDirectory} has a database already, in ${found.folder}.`
  throw new OperationError('place_taken', `${what} Restore to another data folder, or move this one away first.`)
}

function place(backup: VerifiedBackup, folder: string, { dataDirectory }: Config): Promise<void> {
  const total = backup.manifest.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return withProgress((report) =>
    restoreBackup({
      backup,
      folder,
      dataDirectory,
      log: (message) => console.error(message),
      onProgress: (done) => report(`restoring: ${formatBytes(done)} of ${formatBytes(total)}`),
    }),
  )
}

function say(json: boolean | undefined, headline: string, manifest: BackupManifest): undefined {
  const { rootKid, trustDomain, qflareVersion, startedAt, finishedAt } = manifest
  const rows = toList([
    ['made', momentOf(manifest)],
    ['by', `QFLARE ${qflareVersion}`],
    ['root of trust', `${rootKid}, ${trustDomain}`],
  ])
  const lost = ['What happened after the backup is forgotten:', ...forgotten.map((line) => `- ${line}`)].join('\n')
  const shown = { rootKid, trustDomain, qflareVersion, startedAt, finishedAt, forgotten }
  printResult(json, shown, `${headline}\n\n${rows}\n\n${lost}`)
  return undefined
}

function momentOf({ finishedAt }: BackupManifest): string {
  return new Date(finishedAt).toISOString()
}
