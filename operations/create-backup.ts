import { createHash } from 'node:crypto'
import { statfsSync } from 'node:fs'
import { type FileHandle, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { ClientConfig } from 'pg'
import { receiveBaseBackup } from '../database/base-backup.ts'
import { readServerFacts } from '../database/inspect-server.ts'
import { toBase64url } from '../protocol/encoding.ts'
import { syncFolder, writeNewFile } from '../runtime/durable-file.ts'
import {
  ARCHIVE_FILE,
  type BackupManifest,
  MANIFEST_FILE,
  PASSWORD_FILE,
  ROOT_KEY_FILE,
  sealManifest,
  toManifestKeys,
  type UnsignedManifest,
} from './backup-manifest.ts'
import type { Custody } from './open-custody.ts'
import { OperationError } from './operation-error.ts'

type FileFacts = UnsignedManifest['files'][number]

/** What may be missing beside the data: the log of the time that the backup takes. */
const SPACE_MARGIN_BYTES = 256 << 20

/**
 * Writes a backup of the embedded database to a new folder of mode 0700, while the service works on it or not. It gets its
 * name when it is whole; until then it is `….partial-`, and what failed is removed. Throws `place_taken`, `no_space`.
 */
export async function createBackup(options: {
  superuser: ClientConfig
  custody: Custody
  folder: string
  withRootKey: boolean
  qflareVersion: string
  /** Of the audit log, as it was before the backup begins. */
  checkpoint: string | undefined
  /** Of the database. */
  now: () => Promise<number>
  signal: AbortSignal
  onProgress: (doneBytes: number, expectedBytes: number) => void
}): Promise<BackupManifest> {
  const { folder } = options
  // Before hours of work; again at the end.
  if (!(await isFree(folder))) throw placeTaken(folder)
  const partial = await mkdtemp(`${folder}.partial-`)
  try {
    const manifest = await writeFiles({ ...options, folder: partial })
    options.signal.throwIfAborted()
    // rename(2) takes the place of nothing but an empty folder.
    await rename(partial, folder).catch((error: NodeJS.ErrnoException) => {
      throw ['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(error.code ?? '') ? placeTaken(folder) : error
    })
    await syncFolder(dirname(folder))
    return manifest
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw error
  }
}

async function isFree(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error
    return code === 'ENOENT'
  }
}

function placeTaken(folder: string): OperationError {
  return new OperationError('place_taken', `${folder} exists already: a backup goes to a new folder.`)
}

async function writeFiles(options: Parameters<typeof createBackup>[0]): Promise<BackupManifest> {
  const { superuser, custody, folder } = options
  const startedAt = await options.now()
  const { version, migrations } = await readServerFacts(superuser)
  const files = [await writeArchive(options)]
  files.push(await writeSecret(folder, PASSWORD_FILE, String(superuser.password)))
  if (options.withRootKey) files.push(await writeSecret(folder, ROOT_KEY_FILE, toBase64url(custody.rootKey)))
  const manifest = sealManifest(custody.serviceKeys.keyring, {
    format: 'qflare-backup/1',
    qflareVersion: options.qflareVersion,
    postgresVersion: version,
    migrations,
    trustDomain: custody.trust.trustDomain,
    rootKid: custody.serviceKeys.rootKid,
    trustSequence: custody.trust.sequence,
    startedAt: Math.floor(startedAt),
    finishedAt: Math.floor(await options.now()),
    ...(options.checkpoint === undefined ? {} : { checkpoint: options.checkpoint }),
    files,
    ...toManifestKeys(custody.stored),
  })
  await writeSecret(folder, MANIFEST_FILE, JSON.stringify(manifest, null, 2))
  await syncFolder(folder)
  return manifest
}

async function writeArchive(options: Parameters<typeof createBackup>[0]): Promise<FileFacts> {
  const { folder, onProgress } = options
  const file = await open(join(folder, ARCHIVE_FILE), 'wx', 0o600)
  try {
    const hash = createHash('sha256')
    let sizeBytes = 0
    let expectedBytes = 0
    const output = writerOf(file, (chunk) => {
      hash.update(chunk)
      sizeBytes += chunk.length
      onProgress(sizeBytes, expectedBytes)
    })
    const begin = (bytes: number) => {
      expectedBytes = bytes
      requireSpace(folder, bytes)
    }
    await receiveBaseBackup(options.superuser, { begin, output, signal: options.signal })
    output.end()
    await finished(output)
    await file.sync()
    return { name: ARCHIVE_FILE, sizeBytes, sha256: hash.digest('hex') }
  } finally {
    await file.close()
  }
}

/** Throws `no_space` unless the disk of `folder` has room for so much, and for the log that is written meanwhile. */
export function requireSpace(folder: string, expectedBytes: number): void {
  const { bavail, bsize } = statfsSync(folder)
  if (bavail * bsize > expectedBytes + SPACE_MARGIN_BYTES) return
  const needed = Math.ceil((expectedBytes + SPACE_MARGIN_BYTES) / (1 << 20))
  throw new OperationError(
    'no_space',
    `${folder} has no room for the backup: it takes up to ${needed} MiB, and ${Math.floor((bavail * bsize) / (1 << 20))} are free.`,
  )
}

function writerOf(file: FileHandle, onChunk: (chunk: Buffer) => void): Writable {
  return new Writable({
    highWaterMark: 4 << 20,
    write(chunk: Buffer, _encoding, done) {
      onChunk(chunk)
      void append(file, chunk, done)
    },
  })
}

async function append(file: FileHandle, chunk: Buffer, done: (error?: Error) => void): Promise<void> {
  try {
    await file.writeFile(chunk)
    done()
  } catch (error) {
    done(error as Error)
  }
}

async function writeSecret<N extends string>(folder: string, name: N, text: string) {
  const content = Buffer.from(`${text}\n`)
  await writeNewFile(join(folder, name), content)
  return { name, sizeBytes: content.length, sha256: createHash('sha256').update(content).digest('hex') }
}
