import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { migrations } from '../database/migrations.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { loadRootKey } from '../runtime/secrets.ts'
import { type BackupManifest, ROOT_KEY_FILE, readManifest, verifyManifest } from './backup-manifest.ts'
import type { Environment } from './define-operation.ts'
import { OperationError } from './operation-error.ts'

export interface VerifiedBackup {
  manifest: BackupManifest
  rootKey: Uint8Array
  /** The service finds its root key where the environment says; it is not put into the data folder. */
  isRootKeyElsewhere: boolean
}

/**
 * A backup as it was made, and the root key that opens it: every file by its hash, the hashes by a MAC under a key that the root
 * key wraps. Throws `backup_incomplete`, `backup_newer`, `root_key_missing`, `root_key_wrong`, `backup_changed`.
 */
export async function verifyBackup(options: {
  crypto: Primitives
  folder: string
  /** Named by the operator. */
  rootKeyFile: string | undefined
  env: Environment
  onProgress: (doneBytes: number, totalBytes: number) => void
}): Promise<VerifiedBackup> {
  const { crypto, folder } = options
  const manifest = await readManifest(folder)
  requireKnownSchema(manifest)
  const source = await findRootKey(options)
  await verifyManifest(crypto, source.rootKey, manifest)
  const totalBytes = manifest.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  let doneBytes = 0
  for (const file of manifest.files) {
    await verifyFile(folder, file, (bytes) => {
      doneBytes += bytes
      options.onProgress(doneBytes, totalBytes)
    })
  }
  return { manifest, ...source }
}

function requireKnownSchema({ migrations: applied, qflareVersion }: BackupManifest): void {
  const unknown = applied.filter((name) => !migrations.some((migration) => migration.name === name))
  if (unknown.length === 0) return
  throw new OperationError(
    'backup_newer',
    `The backup is of QFLARE ${qflareVersion} and newer than this release, which does not know ${unknown.join(', ')}. Restore it with that release.`,
  )
}

/** The file that was named, the one in the backup, or what the settings of the service say. */
async function findRootKey(options: Parameters<typeof verifyBackup>[0]) {
  const { folder, rootKeyFile, env } = options
  const inBackup = join(folder, ROOT_KEY_FILE)
  const isInBackup = (await stat(inBackup).catch(() => undefined)) !== undefined
  const file = rootKeyFile ?? (isInBackup ? inBackup : undefined)
  const isElsewhere = file === undefined
  if (isElsewhere && !env['QFLARE_ROOT_KEY_FILE'] && !env['QFLARE_ROOT_KEY']) {
    throw new OperationError(
      'root_key_missing',
      'The root key is missing: without it the database opens nothing. Name the one that was kept apart with --root-key FILE, or with QFLARE_ROOT_KEY_FILE as the service has it.',
    )
  }
  const from = isElsewhere ? env : { QFLARE_ROOT_KEY_FILE: file }
  const rootKey = await loadRootKey({ env: from, dataDirectory: folder, isEmbedded: false, mayMake: false })
  return { rootKey, isRootKeyElsewhere: isElsewhere }
}

async function verifyFile(
  folder: string,
  expected: BackupManifest['files'][number],
  onBytes: (bytes: number) => void,
): Promise<void> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(join(folder, expected.name), { highWaterMark: 1 << 20 })) {
      hash.update(chunk as Buffer)
      onBytes((chunk as Buffer).length)
    }
  } catch (error) {
    throw changed(expected.name, `cannot be read (${(error as Error).message})`)
  }
  if (hash.digest('hex') !== expected.sha256) throw changed(expected.name, 'is not what was backed up')
}

/** Of a verified backup. */
export async function readBackupSecret(folder: string, name: string): Promise<string> {
  return (await readFile(join(folder, name), 'utf8')).trim()
}

function changed(name: string, what: string): OperationError {
  return new OperationError(
    'backup_changed',
    `${name} of the backup ${what}. Take another backup, or another copy of it.`,
  )
}
