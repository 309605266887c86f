import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { migrations } from '../database/migrations.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { readSmallFile } from '../runtime/read-small-file.ts'
import { loadRootKey, MAX_SECRET_BYTES } from '../runtime/secrets.ts'
import { type BackupManifest, ROOT_KEY_FILE, readManifest, verifyManifest } from './backup-manifest.ts'
import type { Environment } from './define-operation.ts'
import { OperationError } from './operation-error.ts'

type FileFacts = BackupManifest['files'][number]

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
  const source = await findRootKey(options, manifest)
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
async function findRootKey(options: Parameters<typeof verifyBackup>[0], manifest: BackupManifest) {
  const { folder, rootKeyFile, env } = options
  // A file that the manifest does not name was put there by somebody else.
  const isInBackup = manifest.files.some(({ name }) => name === ROOT_KEY_FILE)
  const file = rootKeyFile ?? (isInBackup ? join(folder, ROOT_KEY_FILE) : undefined)
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

async function verifyFile(folder: string, expected: FileFacts, onBytes: (bytes: number) => void): Promise<void> {
  const { hash, length } = await hashFile(join(folder, expected.name), expected.sizeBytes, onBytes).catch((error) => {
    throw changed(expected.name, `cannot be read (${(error as Error).message})`)
  })
  requireGenuine(expected, hash, length)
}

/** Of a regular file, and of no more of it than one byte too many. */
async function hashFile(path: string, sizeBytes: number, onBytes: (bytes: number) => void) {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!(await file.stat()).isFile()) throw new Error('it is no regular file')
    const hash = createHash('sha256')
    let length = 0
    for await (const chunk of file.createReadStream({ end: sizeBytes, highWaterMark: 1 << 20, autoClose: false })) {
      hash.update(chunk as Buffer)
      length += (chunk as Buffer).length
      onBytes((chunk as Buffer).length)
    }
    return { hash: hash.digest('hex'), length }
  } finally {
    await file.close()
  }
}

/** Throws `backup_changed` unless a file of the backup is the one that was backed up. */
export function requireGenuine(expected: FileFacts, sha256: string, sizeBytes = expected.sizeBytes): void {
  if (sha256 === expected.sha256 && sizeBytes === expected.sizeBytes) return
  throw changed(expected.name, 'is not what was backed up')
}

/** Of a verified manifest. Throws `backup_changed`. */
export function fileOf(manifest: BackupManifest, name: FileFacts['name']): FileFacts {
  const found = manifest.files.find((file) => file.name === name)
  if (found === undefined) throw changed(name, 'is missing')
  return found
}

/** What is read now is what was backed up, whatever was read before. Throws `backup_changed`. */
export async function readBackupSecret(folder: string, manifest: BackupManifest, name: FileFacts['name']) {
  const expected = fileOf(manifest, name)
  const { content } = await readSmallFile(join(folder, name), { maxBytes: MAX_SECRET_BYTES }).catch((error: Error) => {
    throw changed(name, `cannot be read (${error.message})`)
  })
  requireGenuine(expected, createHash('sha256').update(content).digest('hex'), content.length)
  return content.toString('utf8').trim()
}

function changed(name: string, what: string): OperationError {
  return new OperationError(
    'backup_changed',
    `${name} of the backup ${what}. Take another backup, or another copy of it.`,
  )
}
