import { resolve } from 'node:path'
import { quoted } from '../client/command/completion-words.ts'
import { confirm, yesFlag } from '../client/command/confirm.ts'
import { usageError } from '../client/command/exit-codes.ts'
import { printResult, toList } from '../client/command/print.ts'
import { withProgress } from '../client/command/progress.ts'
import { printLine } from '../client/command/stdout.ts'
import { inspectEmbedded } from '../database/inspect-embedded.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { Config } from '../runtime/config.ts'
import { getProfileOf } from '../runtime/custody/service-keys.ts'
import { ARCHIVE_FILE, type BackupManifest } from './backup-manifest.ts'
import { catchSignals } from './catch-signals.ts'
import { configOf, dataDirectoryFlag, defineOperation, environmentNotes } from './define-operation.ts'
import { formatBytes } from './format-bytes.ts'
import { OperationError } from './operation-error.ts'
import { requireOwnFolder } from './require-own-folder.ts'
import { restoreBackup } from './restore-backup.ts'
import { fileOf, type VerifiedBackup, verifyBackup } from './verify-backup.ts'

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
    requireTrustDomain(backup.manifest, config)
    requireProfile(backup.manifest, config)
    await confirm(
      values.yes,
      async () => `Restore what was there at ${momentOf(backup.manifest)} to ${config.dataDirectory}?`,
    )
    const { isTrustAhead } = await place({ backup, crypto, folder }, config)
    await say(values.json, `Restored to ${config.dataDirectory}.`, backup.manifest)
    if (!isTrustAhead) console.error(rootOfflineNote(backup.manifest))
    if (values.json !== true) await printLine(`\n${whatNext(config.dataDirectory)}`)
    return undefined
  },
})

/** Only the root of trust can bring devices on that have bundles which the database forgot. */
function rootOfflineNote({ startedAt }: BackupManifest): string {
  const days = Math.max(1, Math.ceil((Date.now() - startedAt) / 86_400_000))
  return `The root of trust is offline: devices that followed trust bundles which this backup does not know wait until it signs. Bring its file to this machine and run: qflare trust ahead --days ${days} --root-file FILE`
}

function whatNext(dataDirectory: string): string {
  const lines = [
    'The file admin-token does not come back; the tokens of then work again, and qflare admin-token recover makes a new one.',
    'The service goes on from there:',
    `QFLARE_DATA_DIR=${quoted(dataDirectory)} npm start`,
  ]
  return lines.join('\n')
}

async function requireFreePlace(config: Config): Promise<void> {
  const { dataDirectory } = config
  if (config.database !== undefined) {
    throw new OperationError(
      'not_embedded',
      'The database is at DATABASE_URL: restore it with its own tools (docs/operations.md). qflare backup --check then sees whether the root key is its.',
    )
  }
  await requireOwnFolder(dataDirectory)
  const found = await inspectEmbedded(dataDirectory)
  if (found.state === 'none') return
  const what =
    found.state === 'unreadable' ? found.reason : `${dataDirectory} has a database already, in ${found.folder}.`
  throw new OperationError('place_taken', `${what} Restore to another data folder, or move this one away first.`)
}

/** The service would not start. */
function requireTrustDomain({ trustDomain }: BackupManifest, config: Config): void {
  if (trustDomain === config.trustDomain) return
  throw new OperationError(
    'trust_domain_wrong',
    `The backup is of ${trustDomain}, but QFLARE_TRUST_DOMAIN is ${config.trustDomain}. Set QFLARE_TRUST_DOMAIN=${trustDomain}, here and for the service.`,
  )
}

/** Nor with these. */
function requireProfile({ signingKeys }: BackupManifest, config: Config): void {
  const begunAs = getProfileOf(signingKeys)
  if (begunAs === config.profile) return
  throw new OperationError(
    'profile_wrong',
    `The backup is of a service of profile ${begunAs}, but QFLARE_PROFILE is ${config.profile}. Set QFLARE_PROFILE=${begunAs}, here and for the service.`,
  )
}

async function place(
  parts: { backup: VerifiedBackup; crypto: Primitives; folder: string },
  { dataDirectory, audit, rotation }: Config,
): Promise<{ isTrustAhead: boolean }> {
  const total = fileOf(parts.backup.manifest, ARCHIVE_FILE).sizeBytes
  using interruption = catchSignals()
  return await withProgress((report) =>
    restoreBackup({
      ...parts,
      dataDirectory,
      checkpointFile: audit.checkpointFile,
      rotation,
      signal: interruption.signal,
      log: (message) => console.error(message),
      onProgress: (done) => report(`restoring: ${formatBytes(done)} of ${formatBytes(total)}`),
    }),
  )
}

async function say(json: boolean | undefined, headline: string, manifest: BackupManifest): Promise<undefined> {
  const { rootKid, trustDomain, qflareVersion, startedAt, finishedAt } = manifest
  const rows = toList([
    ['made', momentOf(manifest)],
    ['by', `QFLARE ${qflareVersion}`],
    ['root of trust', `${rootKid}, ${trustDomain}`],
  ])
  const lost = ['What happened after the backup is forgotten:', ...forgotten.map((line) => `- ${line}`)].join('\n')
  const shown = { rootKid, trustDomain, qflareVersion, startedAt, finishedAt, forgotten }
  await printResult(json, shown, `${headline}\n\n${rows}\n\n${lost}`)
  return undefined
}

function momentOf({ finishedAt }: BackupManifest): string {
  return new Date(finishedAt).toISOString()
}
