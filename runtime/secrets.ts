import { randomBytes, randomUUID } from 'node:crypto'
import { chown, link, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fromBase64url, toBase64url } from '../protocol/encoding.ts'
import { ConfigError } from './config.ts'
import { ROOT_KEY_BYTES } from './custody/wrapper.ts'

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
    const content = await readSecretFile(file).catch((error: unknown) => {
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
    return parseRootKey(own, await readSecretFile(own))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
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
  if ((await stat(path).catch(() => undefined)) === undefined) return
  throw new ConfigError([
    `${path}: is there, but its database is not. Restore that (qflare restore), or move the key away to begin with an empty database.`,
  ])
}

/** Creates the file with mode 0600, whole or not at all, and durably; an existing one stays as it is. */
export async function writeSecretFileOnce(path: string, text: string): Promise<void> {
  const folder = dirname(path)
  const draft = `${path}.draft-${randomUUID()}`
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await link(draft, path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    await unlink(draft)
  }
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export function adminTokenFile(dataDirectory: string): string {
  return join(dataDirectory, 'admin-token')
}

/**
 * Writes `admin-token` for the owner of the data folder. One that is there is put aside as `admin-token.replaced`: it is of another
 * database, of a start that was killed before it committed, or lost its worth.
 */
export async function keepAdminToken(dataDirectory: string, token: string): Promise<void> {
  const path = adminTokenFile(dataDirectory)
  await rename(path, `${path}.replaced`).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  })
  await writeSecretFileOnce(path, `${token}\n`)
  const { uid, gid } = await stat(dataDirectory)
  // Root works for the user that the folder belongs to.
  if (process.getuid?.() === 0 && uid !== 0) await chown(path, uid, gid)
}

async function readSecretFile(path: string): Promise<string> {
  const { mode } = await stat(path)
  if ((mode & 0o077) !== 0) {
    throw new ConfigError([
      `${path}: other users may read it (mode ${(mode & 0o777).toString(8)}); run chmod 600 on it.`,
    ])
  }
  return readFile(path, 'utf8')
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
