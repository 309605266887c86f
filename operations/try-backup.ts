import { join } from 'node:path'
import type { ClientConfig } from 'pg'
import { checkAuditLog, type LogCheckReport } from '../database/check-audit-log.ts'
import { countDatabase, type DatabaseCounts, readServerFacts } from '../database/inspect-server.ts'
import { tryCluster } from '../database/place-cluster.ts'
import { EMBEDDED_DATABASE } from '../database/prepare-embedded.ts'
import { toVerifierKeys } from '../protocol/log/audit-keys.ts'
import { logOrigin } from '../protocol/log/checkpoint.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { trustBundle, verifyPinnedTrustBundle } from '../protocol/trust.ts'
import { openServiceKeys } from '../runtime/custody/service-keys.ts'
import { createRootKeyWrapper } from '../runtime/custody/wrapper.ts'
import { ARCHIVE_FILE, type BackupManifest, PASSWORD_FILE } from './backup-manifest.ts'
import { requireSpace } from './create-backup.ts'
import { openOwnDatabase } from './local-database.ts'
import { readStoredKeys } from './open-custody.ts'
import { OperationError } from './operation-error.ts'
import { fileOf, readBackupSecret, requireGenuine, type VerifiedBackup } from './verify-backup.ts'

/** What came out of a backup when it was run. */
export interface TriedBackup {
  /** Of the schema that is in it; a restore applies what is missing. */
  migrations: number
  log: LogCheckReport
  counts: DatabaseCounts
}

/**
 * Restores a verified backup into a folder of its own, as `restore` does, and looks at all of it there: that PostgreSQL starts with
 * it, the schema is the one of its manifest and can be migrated, the root key opens the keys in the database, and every entry of the
 * audit log is what was signed, up to the checkpoint of the backup at least. Then it is removed. Throws `no_space`,
 * `backup_changed`, `root_key_wrong`, and EmbeddedPostgresError; differences of the log are in the report.
 */
export async function tryBackup(options: {
  backup: VerifiedBackup
  crypto: Primitives
  folder: string
  scratch: string
  signal: AbortSignal
  log: (message: string) => void
  onProgress: (text: 'unpacking' | 'checking the log', done: number, total: number) => void
}): Promise<TriedBackup> {
  const { backup, folder, scratch, signal, onProgress } = options
  const { manifest } = backup
  const archive = fileOf(manifest, ARCHIVE_FILE)
  requireSpace(scratch, archive.sizeBytes)
  let tried: TriedBackup | undefined
  await tryCluster({
    scratch,
    password: await readBackupSecret(folder, manifest, PASSWORD_FILE),
    archive: { path: join(folder, ARCHIVE_FILE), sizeBytes: archive.sizeBytes },
    requireGenuine: (sha256) => requireGenuine(archive, sha256),
    work: async (superuser) => {
      signal.throwIfAborted()
      tried = await lookInside({ ...superuser, database: EMBEDDED_DATABASE }, options)
    },
    log: options.log,
    onProgress(done) {
      signal.throwIfAborted()
      onProgress('unpacking', done, archive.sizeBytes)
    },
  })
  if (tried === undefined) throw new Error('The backup was run without being looked at.')
  return tried
}

async function lookInside(
  superuser: ClientConfig,
  { backup, crypto, signal, onProgress }: Parameters<typeof tryBackup>[0],
): Promise<TriedBackup> {
  const { manifest, rootKey } = backup
  const { migrations } = await readServerFacts(superuser)
  requireSame(migrations, manifest)
  await using local = await openOwnDatabase(superuser, 'sequencer')
  const { database } = local
  const stored = await readStoredKeys(database)
  const newest = stored.trust.at(-1)
  const { rootKid, auditKeys } = await openServiceKeys(crypto, createRootKeyWrapper(crypto, rootKey), stored)
  if (newest === undefined || rootKid !== manifest.rootKid) {
    throw new OperationError(
      'root_key_wrong',
      `The database of this backup is of the root of trust ${rootKid}, and its manifest of ${manifest.rootKid}.`,
    )
  }
  verifyPinnedTrustBundle(crypto, trustBundle.parse(newest), rootKid)
  const { checkpoint } = manifest
  const log = await checkAuditLog({
    database,
    crypto,
    keys: toVerifierKeys(crypto, logOrigin(manifest.trustDomain), auditKeys),
    // Of 0.1 there is none.
    readCheckpointFile: checkpoint === undefined ? undefined : async () => checkpoint,
    signal,
    onProgress: (done, total) => onProgress('checking the log', done, total),
  })
  return { migrations: migrations.length, log, counts: await countDatabase(superuser) }
}

function requireSame(found: readonly string[], { migrations }: BackupManifest): void {
  if (found.join() === migrations.join()) return
  throw new OperationError(
    'backup_changed',
    `The database of this backup has another schema (${found.length} migrations) than its manifest says (${migrations.length}). Take another backup.`,
  )
}
