import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { ConfigError } from '../../../runtime/config.ts'
import { loadRootKey, writeSecretFileOnce } from '../../../runtime/secrets.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qflare-secrets-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
})

function load(env: Record<string, string> = {}, where: { isEmbedded?: boolean; mayMake?: boolean } = {}) {
  return loadRootKey({ env, dataDirectory: folder, isEmbedded: true, mayMake: true, ...where })
}

async function writeKeyFile(content: string, mode = 0o600): Promise<string> {
  const path = join(folder, 'a-root-key')
  await writeFile(path, content)
  await chmod(path, mode)
  return path
}

describe('the root key of the embedded mode', () => {
  test('is made once, 32 random bytes in a file that nobody else may read, and is the same ever after', async () => {
    const before = process.umask(0)
    onTestFinished(() => void process.umask(before))
    const data = join(folder, 'data')
    const source = { env: {}, dataDirectory: data, isEmbedded: true }
    const key = await loadRootKey({ ...source, mayMake: true })
    expect(key.length).toBe(32)
    expect(await loadRootKey({ ...source, mayMake: true })).toEqual(key)
    expect(await loadRootKey({ ...source, mayMake: false })).toEqual(key)
    expect(await readdir(data)).toEqual(['root-key'])
    expect((await stat(join(data, 'root-key'))).mode & 0o777).toBe(0o600)
    expect((await stat(data)).mode & 0o777).toBe(0o700)
    expect((await readFile(join(data, 'root-key'), 'utf8')).trim()).toBe(Buffer.from(key).toString('base64url'))
  })

  test('is one and the same for many makers at once', async () => {
    const keys = await Promise.all(Array.from({ length: 20 }, () => load()))
    expect(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size).toBe(1)
    expect(await load()).toEqual(keys[0])
    expect(await readdir(folder)).toEqual(['root-key'])
  })

  test('is one and the same for many processes at once', async () => {
    const module = join(import.meta.dirname, '..', '..', '..', 'runtime', 'secrets.ts')
    const script = `const { loadRootKey } = await import(${JSON.stringify(module)})
      const key = await loadRootKey({ env: {}, dataDirectory: process.argv[1], isEmbedded: true, mayMake: true })
      process.stdout.write(Buffer.from(key).toString('hex'))`
    const keys = await Promise.all(
      Array.from({ length: 3 }, () => {
        const child = spawn(process.execPath, ['--input-type=module', '--eval', script, folder], { stdio: 'pipe' })
        return text(child.stdout)
      }),
    )
    expect(new Set(keys)).toEqual(new Set([Buffer.from(await load()).toString('hex')]))
  })

  test('that is missing is not made anew when something is sealed under it', async () => {
    await expect(load({}, { mayMake: false })).rejects.toThrow(ConfigError)
    await expect(load({}, { mayMake: false })).rejects.toThrow(/root-key: is missing, but the database holds values/)
    expect(await readdir(folder)).toEqual([])
  })

  test('is made beside a draft that a crash left half written', async () => {
    await writeFile(join(folder, 'root-key.draft-4711'), 'half a k')
    expect((await load()).length).toBe(32)
  })
})

describe('a root key that is brought', () => {
  const key = randomBytes(32)

  test('is read as base64url or as hexadecimal, with or without an end of line', async () => {
    for (const written of [key.toString('base64url'), key.toString('hex'), key.toString('hex').toUpperCase()]) {
      expect(Buffer.from(await load({ QFLARE_ROOT_KEY: written }))).toEqual(key)
      const file = await writeKeyFile(`${written}\n`)
      expect(Buffer.from(await load({ QFLARE_ROOT_KEY_FILE: file }, { isEmbedded: false }))).toEqual(key)
    }
    expect(await readdir(folder)).toEqual(['a-root-key'])
  })

  test('in a file comes before one in the environment', async () => {
    const file = await writeKeyFile(key.toString('hex'))
    const other = randomBytes(32).toString('hex')
    expect(Buffer.from(await load({ QFLARE_ROOT_KEY_FILE: file, QFLARE_ROOT_KEY: other }))).toEqual(key)
  })

  test.each([0o640, 0o604, 0o660, 0o601, 0o620])('in a file of mode %o is refused, with what to do', async (mode) => {
    const file = await writeKeyFile(key.toString('hex'), mode)
    const refused = load({ QFLARE_ROOT_KEY_FILE: file })
    await expect(refused).rejects.toThrow(ConfigError)
    await expect(load({ QFLARE_ROOT_KEY_FILE: file })).rejects.toThrow(/other users may read it .* chmod 600/)
  })

  test('in a file that is not there is refused by the name of the variable', async () => {
    const refused = load({ QFLARE_ROOT_KEY_FILE: join(folder, 'nowhere') })
    await expect(refused).rejects.toThrow(ConfigError)
    await expect(load({ QFLARE_ROOT_KEY_FILE: join(folder, 'nowhere') })).rejects.toThrow(
      /QFLARE_ROOT_KEY_FILE: .*nowhere cannot be read/,
    )
  })

  test.each([
    ['too short', randomBytes(31).toString('base64url')],
    ['too long', randomBytes(33).toString('hex')],
    ['padded', `${key.toString('base64url')}=`],
    ['not of the alphabet', '!'.repeat(43)],
    ['blank', ' '],
  ])('that is %s is refused without being shown', async (_, written) => {
    const error = await load({ QFLARE_ROOT_KEY: written }).catch((cause: unknown) => cause as Error)
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as Error).message).toContain('QFLARE_ROOT_KEY: is not a root key')
    if (written.trim() !== '') expect((error as Error).message).not.toContain(written)
  })

  test('is required with a database of one’s own, and none is made', async () => {
    await expect(load({}, { isEmbedded: false })).rejects.toThrow(/QFLARE_ROOT_KEY_FILE: is required with DATABASE_URL/)
    expect(await readdir(folder)).toEqual([])
  })
})

test('a secret file is written once: what is there stays', async () => {
  const path = join(folder, 'admin-token')
  await writeSecretFileOnce(path, 'first\n')
  await writeSecretFileOnce(path, 'second\n')
  expect(await readFile(path, 'utf8')).toBe('first\n')
  expect(await readdir(folder)).toEqual(['admin-token'])
})
