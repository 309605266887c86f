import { randomBytes, randomUUID } from 'node:crypto'
import { link, mkdir, rename, rm, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fromBase64url, toBase64url } from '../protocol/encoding.ts'
import { ConfigError } from './config.ts'
import { ROOT_KEY_BYTES } from './custody/wrapper.ts'
import { syncFolder, writeNewFile } from './durable-file.ts'
import { privacyProblem } from './private-file.ts'
import { FileError, readSmallFile } from './read-small-file.ts'

/** Of a file with one key or token. */
export const MAX_SECRET_BYTES = 4096

/**
 * The root key, from QFLARE_ROOT_KEY_FILE, QFLARE_ROOT_KEY or, embedded, the data folder. `mayMake`: only where nothing was
 * ever sealed. Throws ConfigError when there is none, or when others may read its file.
 */
export async function loadRootKey(source: {
  env: Record<string, string | undefined>
  dataDirectory: string
  isEmbedded: boolean
  mayMake: boolean
}): Promise<Uint8Array> {
  const { QFLARE_ROOT_KEY_FILE: file, QFLARE_ROOT_KEY: text } = source.env
  if (file) {
    const content = await readSecretFile(file, true).catch((error: unknown) => {
      if (error instanceof ConfigError) throw error
      throw new ConfigError([`QFLARE_ROOT_KEY_FILE: ${file} cannot be read (${String(error)}).`])
    })
    return parseRootKey('QFLARE_ROOT_KEY_FILE', content)
  }
  if (text) return parseRootKey('QFLARE_ROOT_KEY', text)
  if (!source.isEmbedded) {
    throw new ConfigError([
      'QFLARE_ROOT_KEY_FILE: is required with DATABASE_URL: 32 random bytes as base64url or hexadecimal.',
    ])
  }
  const own = join(source.dataDirectory, 'root-key')
  if (source.mayMake) await writeSecretFileOnce(own, `${toBase64url(randomBytes(ROOT_KEY_BYTES))}\n`)
  try {
    return parseRootKey(own, await readSecretFile(own, false))
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    throw new ConfigError([
      `${own}: is missing, but the database holds values that were sealed under it. Restore it from the backup of this data folder.`,
    ])
  }
}

/**
 * Throws ConfigError where a data folder without a database has a root key: it is what is left of a service, and an empty database
 * beside it would look like one that was restored.
 */
export async function refuseLoneRootKey(dataDirectory: string): Promise<void> {
  const path = join(dataDirectory, 'root-key')
  try {
    await stat(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return
    throw error
  }
  throw new ConfigError([
    `${path}: is there, but its database is not. Restore that (qflare restore), or move the key away to begin with an empty database.`,
  ])
}

/** Creates the file with mode 0600, whole or not at all, and durably; an existing one stays as it is. */
export async function writeSecretFileOnce(path: string, text: string): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const draft = `${path}.draft-${randomUUID()}`
  await writeNewFile(draft, text)
  try {
    await linkIfFree(draft, path)
  } finally {
    await unlink(draft)
  }
  await syncFolder(folder)
}

/** The file of an organization's admin token; the organization `default` needs no name. Its id, because a name may be anything. */
export function adminTokenFile(dataDirectory: string, organizationId?: string): string {
  return join(dataDirectory, organizationId === undefined ? 'admin-token' : `admin-token.${organizationId}`)
}

/**
 * Writes a token to `path`, for the owner of the folder. One that is there is put aside under the first name that is free of
 * `….replaced`, `….replaced-2` and so on: it is of another database, of a start that was killed before it committed, or lost its
 * worth. Whatever fails, a token that was there is in some file. One caller at a time: under the lock of its transaction.
 */
export async function keepAdminToken(path: string, token: string): Promise<void> {
  const folder = dirname(path)
  const { uid, gid } = await stat(folder)
  const draft = `${path}.draft-${randomUUID()}`
  // A start as root works for the user that the folder belongs to.
  await writeNewFile(draft, `${token}\n`, process.getuid?.() === 0 ? { uid, gid } : undefined)
  try {
    if (await putAside(path)) await rename(draft, path)
    else await link(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
  await syncFolder(folder)
}

/** Under a second name; false when there is no such file. */
async function putAside(path: string): Promise<boolean> {
  try {
    for (let number = 1; ; number++) {
      if (await linkIfFree(path, `${path}.replaced${number === 1 ? '' : `-${number}`}`)) return true
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}

/** link(2) fails when the name is taken, and follows no link. False then. */
async function linkIfFree(path: string, name: string): Promise<boolean> {
  try {
    await link(path, name)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  }
}

/** A file that nobody but its user may read. Throws ConfigError, and what the system refuses. */
export async function readSecretFile(path: string, followsLinks: boolean): Promise<string> {
  const file = await readSmallFile(path, { maxBytes: MAX_SECRET_BYTES, followsLinks }).catch((error: unknown) => {
    throw error instanceof FileError ? new ConfigError([`${path}: cannot be read (${error.message})`]) : error
  })
  const problem = privacyProblem(file)
  if (problem !== undefined) throw new ConfigError([`${path}: ${problem}`])
  return file.content.toString('utf8')
}

function parseRootKey(source: string, text: string): Uint8Array {
  const trimmed = text.trim()
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return Buffer.from(trimmed, 'hex')
  try {
    return fromBase64url(trimmed, ROOT_KEY_BYTES)
  } catch {
    throw new ConfigError([
      `${source}: is not a root key: 32 bytes as base64url without padding or 64 hexadecimal digits.`,
    ])
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
