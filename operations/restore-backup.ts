import { lstat, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '../database/open.ts'
import { placeCluster } from '../database/place-cluster.ts'
import { insertEvents } from '../database/repositories/audit-outbox.ts'
import { toBase64url } from '../protocol/encoding.ts'
import { NIL_UUID } from '../protocol/log/audit-event.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { createEventWriter } from '../runtime/audit-events.ts'
import { readCheckpointFile, writeCheckpointFile } from '../runtime/checkpoint-file.ts'
import { newId } from '../runtime/ids.ts'
import type { RotationTimes } from '../runtime/rotation-setting.ts'
import { loadRootKey, writeSecretFileOnce } from '../runtime/secrets.ts'
import { listTemporalHomes } from '../runtime/temporal/temporal-key-folder.ts'
import { ARCHIVE_FILE, type BackupManifest, PASSWORD_FILE } from './backup-manifest.ts'
import { bringTrustAhead, countBundlesSince } from './bring-trust-ahead.ts'
import { openOwnDatabase } from './local-database.ts'
import { OperationError } from './operation-error.ts'
import { requireOwnFolder } from './require-own-folder.ts'
import { fileOf, readBackupSecret, requireGenuine, type VerifiedBackup } from './verify-backup.ts'

/**
 * Puts a verified backup into a data folder that has no database. What is unpacked is compared once more: the files may be others
 * by now. All that belongs to the restore is done before the database appears in its place, so that one that was killed did
 * nothing or everything: this release's schema, the event, the root key, and the end of the temporal keys of an earlier life of
 * the folder, which are newer than the database. `isTrustAhead`: false where the root of trust is offline, and devices wait for it. Throws `place_taken`, `not_owner`, `backup_changed`, and EmbeddedPostgresError.
 */
export async function restoreBackup(options: {
  backup: VerifiedBackup
  crypto: Primitives
  folder: string
  dataDirectory: string
  checkpointFile: string
  rotation: RotationTimes
  signal: AbortSignal
  log: (message: string) => void
  onProgress: (doneBytes: number) => void
}): Promise<{ isTrustAhead: boolean }> {
  let isTrustAhead = true
  const { backup, folder, dataDirectory, signal, log } = options
  await requireOwnFolder(dataDirectory)
  if (!backup.isRootKeyElsewhere) await requireNoOtherRootKey(dataDirectory, backup.rootKey)
  const archive = fileOf(backup.manifest, ARCHIVE_FILE)
  await placeCluster({
    dataDirectory,
    password: await readBackupSecret(folder, backup.manifest, PASSWORD_FILE),
    archive: { path: join(folder, ARCHIVE_FILE), sizeBytes: archive.sizeBytes },
    requireGenuine: (sha256) => requireGenuine(archive, sha256),
    prepare: async (superuser) => {
      await using local = await openOwnDatabase(superuser)
      isTrustAhead = await recordRestore({ ...options, database: local.database })
      for (const home of await listTemporalHomes(dataDirectory)) await rm(home, { recursive: true, force: true })
      signal.throwIfAborted()
      await bringCheckpoint(options.checkpointFile, backup.manifest, log)
      if (backup.isRootKeyElsewhere) return
      await writeSecretFileOnce(join(dataDirectory, 'root-key'), `${toBase64url(backup.rootKey)}\n`)
    },
    log,
    onProgress: (done) => {
      signal.throwIfAborted()
      options.onProgress(done)
    },
  })
  return { isTrustAhead }
}

/** A checkpoint that is there already may be newer, and knows better: the start will say so. */
async function bringCheckpoint(
  path: string,
  { checkpoint }: BackupManifest,
  log: (message: string) => void,
): Promise<void> {
  if ((await readCheckpointFile(path)) !== undefined) {
    log(`${path} is kept: where the audit log went on after the backup, the service will not start without being told.`)
  } else if (checkpoint !== undefined) {
    await writeCheckpointFile(path, checkpoint)
  }
}

/** What devices and the log are told of it. The database is the one that was restored. */
async function recordRestore(parts: {
  database: Database
  crypto: Primitives
  backup: VerifiedBackup
  rotation: RotationTimes
}): Promise<boolean> {
  const { crypto, backup, rotation } = parts
  const { rootKid, startedAt, finishedAt, qflareVersion } = backup.manifest
  const at = Math.floor(await parts.database.readClock())
  return parts.database.withOrganization(NIL_UUID, async (tx) => {
    const count = countBundlesSince(rotation, Math.max(0, at - startedAt))
    const ahead = await bringTrustAhead(tx, { crypto, rootKey: backup.rootKey }, count, at).catch((error: unknown) => {
      // A restore does not wait for a key in a safe: the bundles can follow.
      if (error instanceof OperationError && error.code === 'root_offline') return undefined
      throw error
    })
    const trustSequence = ahead ?? backup.manifest.trustSequence
    const event = createEventWriter(crypto)(
      {
        organizationId: NIL_UUID,
        actor: { type: 'service', id: NIL_UUID },
        type: 'service.restored',
        subject: { rootKid },
        data: { backupAt: finishedAt, qflareVersion, trustSequence },
        requestId: newId(),
      },
      at,
    )
    await insertEvents(tx, [event])
    return ahead !== undefined
  })
}

async function requireNoOtherRootKey(dataDirectory: string, rootKey: Uint8Array): Promise<void> {
  const path = join(dataDirectory, 'root-key')
  if ((await lstat(path).catch(() => undefined)) === undefined) return
  const there = await loadRootKey({ env: {}, dataDirectory, isEmbedded: true, mayMake: false })
  if (toBase64url(there) === toBase64url(rootKey)) return
  throw new OperationError(
    'place_taken',
    `${path} is another root key than the one of this backup. Move it away, or restore to another data folder.`,
  )
}
