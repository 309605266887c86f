import { chown, type FileHandle, mkdir, open } from 'node:fs/promises'
import { join, normalize } from 'node:path'
import type { Account } from './account.ts'
import { EmbeddedPostgresError } from './error.ts'
import { syncFolder } from './location.ts'

const BLOCK_BYTES = 512
const COPY_BYTES = 1 << 20

interface Entry {
  name: string
  isFolder: boolean
  sizeBytes: number
}

/**
 * Unpacks the tar archive of a base backup (POSIX ustar) into a new folder, for `account` alone, durably. `onProgress` hears how
 * many bytes of the archive are done. Throws `archive_invalid` for what PostgreSQL does not put into one.
 */
export async function unpackArchive(
  archive: string,
  folder: string,
  account: Account | undefined,
  onProgress: (doneBytes: number) => void,
): Promise<void> {
  const folders = [folder]
  await makeFolder(folder, account)
  const source = await open(archive)
  try {
    let offset = 0
    for (;;) {
      const header = Buffer.alloc(BLOCK_BYTES)
      const { bytesRead } = await source.read(header, 0, BLOCK_BYTES, offset)
      if (bytesRead !== BLOCK_BYTES) throw invalid('it ends in the middle')
      if (header.every((byte) => byte === 0)) break
      const entry = parseHeader(header)
      const path = join(folder, entry.name)
      offset += BLOCK_BYTES
      if (entry.isFolder) {
        await makeFolder(path, account)
        folders.push(path)
      } else await copyOut(source, offset, entry, path, account)
      offset += Math.ceil(entry.sizeBytes / BLOCK_BYTES) * BLOCK_BYTES
      onProgress(offset)
    }
  } finally {
    await source.close()
  }
  for (const made of folders.toReversed()) await syncFolder(made)
}

/** Attacker-controlled where nobody checked the archive: no name leads out of the folder, nothing is a link. */
function parseHeader(header: Buffer): Entry {
  const text = (start: number, length: number) =>
    header
      .subarray(start, start + length)
      .toString('latin1')
      .replace(/\0[\s\S]*$/, '')
  const octal = (start: number, length: number) => Number.parseInt(text(start, length).trim(), 8)
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0)
  if (octal(148, 8) !== sum) throw invalid('a header has a wrong checksum')
  const name = normalize(text(0, 100))
  const type = text(156, 1)
  const sizeBytes = octal(124, 12)
  if (!['0', '5'].includes(type)) throw invalid(`${name} is neither a file nor a folder`)
  if (text(345, 155) !== '' || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw invalid(`${name} is too large`)
  if (name.startsWith('/') || name.split('/').includes('..') || name === '.') throw invalid('a name leads out of it')
  return { name, isFolder: type === '5', sizeBytes: type === '5' ? 0 : sizeBytes }
}

async function makeFolder(path: string, account: Account | undefined): Promise<void> {
  await mkdir(path, { mode: 0o700 })
  if (account) await chown(path, account.uid, account.gid)
}

async function copyOut(source: FileHandle, start: number, entry: Entry, path: string, account: Account | undefined) {
  const target = await open(path, 'wx', 0o600)
  try {
    if (account) await target.chown(account.uid, account.gid)
    const buffer = Buffer.alloc(Math.min(COPY_BYTES, entry.sizeBytes))
    for (let done = 0; done < entry.sizeBytes; ) {
      const { bytesRead } = await source.read(buffer, 0, Math.min(buffer.length, entry.sizeBytes - done), start + done)
      if (bytesRead === 0) throw invalid(`it ends within ${entry.name}`)
      await target.writeFile(buffer.subarray(0, bytesRead))
      done += bytesRead
    }
    await target.sync()
  } finally {
    await target.close()
  }
}

function invalid(reason: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError('archive_invalid', `This is no archive of a PostgreSQL data folder: ${reason}.`)
}
