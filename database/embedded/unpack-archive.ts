import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
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
 * Unpacks the tar archive of a base backup (POSIX ustar) into a new folder, for `account` alone, durably, and gives the SHA-256
 * of the bytes that it unpacked, which nobody has checked before. `onProgress` hears how many of them are done; a throw ends
 * it. Throws `archive_invalid` for what PostgreSQL does not put into one, and for another size.
 */
export async function unpackArchive(
  archive: { path: string; sizeBytes: number },
  folder: string,
  account: Account | undefined,
  onProgress: (doneBytes: number) => void,
): Promise<string> {
  const folders = [folder]
  await makeFolder(folder, account)
  // A FIFO in its place would let us wait.
  const file = await open(archive.path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const source = readerOf(file, archive.sizeBytes, onProgress)
    for (;;) {
      const header = await source.read(BLOCK_BYTES)
      if (header.every((byte) => byte === 0)) break
      const entry = parseHeader(header)
      const path = join(folder, entry.name)
      if (entry.isFolder) {
        await makeFolder(path, account)
        folders.push(path)
      } else await copyOut(source, entry, path, account)
    }
    const sha256 = await source.finish()
    for (const made of folders.toReversed()) await syncFolder(made)
    return sha256
  } finally {
    await file.close()
  }
}

interface Reader {
  /** So many bytes, in memory that the next call may use again. */
  read(lengthBytes: number): Promise<Buffer>
  /** Reads what is left, and gives the SHA-256 of all. */
  finish(): Promise<string>
}

/** What is read is hashed, from the first byte to the last, each once. */
function readerOf(file: FileHandle, sizeBytes: number, onProgress: (doneBytes: number) => void): Reader {
  const hash = createHash('sha256')
  const memory = Buffer.alloc(COPY_BYTES)
  let done = 0
  async function read(lengthBytes: number): Promise<Buffer> {
    if (done + lengthBytes > sizeBytes) throw invalid('it ends in the middle')
    for (let filled = 0; filled < lengthBytes; ) {
      const { bytesRead } = await file.read(memory, filled, lengthBytes - filled, done + filled)
      if (bytesRead === 0) throw invalid('it ends in the middle')
      filled += bytesRead
    }
    done += lengthBytes
    const bytes = memory.subarray(0, lengthBytes)
    hash.update(bytes)
    onProgress(done)
    return bytes
  }
  return {
    read,
    async finish() {
      while (done < sizeBytes) await read(Math.min(COPY_BYTES, sizeBytes - done))
      return hash.digest('hex')
    },
  }
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

async function copyOut(source: Reader, entry: Entry, path: string, account: Account | undefined): Promise<void> {
  const target = await open(path, 'wx', 0o600)
  try {
    if (account) await target.chown(account.uid, account.gid)
    for (let left = entry.sizeBytes; left > 0; left -= COPY_BYTES) {
      await target.writeFile(await source.read(Math.min(COPY_BYTES, left)))
    }
    await target.sync()
  } finally {
    await target.close()
  }
  // Up to the next header.
  await source.read((BLOCK_BYTES - (entry.sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES)
}

function invalid(reason: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError('archive_invalid', `This is no archive of a PostgreSQL data folder: ${reason}.`)
}
