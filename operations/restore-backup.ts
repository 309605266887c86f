import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '../database/open.ts'
import { placeCluster } from '../database/place-cluster.ts'
import { insertEvents } from '../database/repositories/audit-outbox.ts'
import { toBase64url } from '../protocol/encoding.ts'
import { NIL_UUID } from '../protocol/log/audit-event.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { createEventWriter } from '../runtime/audit-events.ts'
import { newId } from '../runtime/ids.ts'
import { loadRootKey, writeSecretFileOnce } from '../runtime/secrets.ts'
import { temporalKeyFolders } from '../runtime/temporal/temporal-key-folder.ts'
import { ARCHIVE_FILE, type BackupManifest, PASSWORD_FILE } from './backup-manifest.ts'
import { OperationError } from './operation-error.ts'
import { readBackupSecret, type VerifiedBackup } from './verify-backup.ts'

/**
 * Puts a verified backup into a data folder that has no database. Temporal keys of an earlier life of the folder are removed:
 * they are newer than the database, which could neither use nor destroy them. Throws `place_taken`, `not_owner`, and
 * EmbeddedPostgresError.
 */
export async function restoreBackup(options: {
  backup: VerifiedBackup
  folder: string
  dataDirectory: string
  log: (message: string) => void
  onProgress: (doneBytes: number) => void
}): Promise<void> {
  const { backup, folder, dataDirectory } = options
  await requireOwnFolder(dataDirectory)
  if (!backup.isRootKeyElsewhere) await requireNoOtherRootKey(dataDirectory, backup.rootKey)
  const password = await readBackupSecret(folder, PASSWORD_FILE)
  const { log, onProgress } = options
  await placeCluster({ dataDirectory, password, archive: join(folder, ARCHIVE_FILE), log, onProgress })
  const { memory, disk } = await temporalKeyFolders(dataDirectory)
  for (const keys of [memory, disk]) await rm(keys, { recursive: true, force: true })
  if (backup.isRootKeyElsewhere) return
  await writeSecretFileOnce(join(dataDirectory, 'root-key'), `${toBase64url(backup.rootKey)}\n`)
}

/** What the log says of it. The database is the one that was restored. */
export async function recordRestore(
  parts: { database: Database; crypto: Primitives },
  { rootKid, finishedAt, qflareVersion }: BackupManifest,
): Promise<void> {
  const at = Math.floor(await parts.database.readClock())
  const event = createEventWriter(parts.crypto)(
    {
      organizationId: NIL_UUID,
      actor: { type: 'service', id: NIL_UUID },
      type: 'service.restored',
      severity: 'warning',
      subject: { rootKid },
      data: { backupAt: finishedAt, qflareVersion },
      requestId: newId(),
    },
    at,
  )
  await parts.database.withOrganization(NIL_UUID, (tx) => insertEvents(tx, [event]))
}

async function requireOwnFolder(dataDirectory: string): Promise<void> {
  const uid = (await stat(dataDirectory).catch(() => undefined))?.uid
  if (uid === undefined || uid === process.getuid?.()) return
  throw new OperationError(
    'not_owner',
    `${dataDirectory} belongs to user id ${uid}: restore as that user, who has to be the service's.`,
  )
}

async function requireNoOtherRootKey(dataDirectory: string, rootKey: Uint8Array): Promise<void> {
  const path = join(dataDirectory, 'root-key')
  if ((await readFile(path).catch(() => undefined)) === undefined) return
  const there = await loadRootKey({ env: {}, dataDirectory, isEmbedded: true, mayMake: false })
  if (toBase64url(there) === toBase64url(rootKey)) return
  throw new OperationError(
    'place_taken',
    `${path} is another root key than the one of this backup. Move it away, or restore to another data folder.`,
  )
}
