import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  expectRefusedOperation as expectRefused,
  hashTree,
  makeBackupFolder,
  makeTestFolder,
  operate,
  operateJson,
} from '../support/operations.ts'
import { everyLogin } from '../support/own-postgres.ts'
import { makeServiceFolder, removeServiceFolder, spawnService } from '../support/service-process.ts'

// Each step is a process of its own, and some are services.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

/** A stopped service with its backup, which every test copies before it spoils it. */
let folder: string
let backups: string
let rootKey: string
const otherRootKey = '0f'.repeat(32)

beforeAll(async () => {
  folder = await makeServiceFolder()
  backups = await makeServiceFolder()
  rootKey = join(folder, 'root-key')
  expect(await startAndStop(folder)).toBe(0)
  await operateJson(folder, ['backup', '--out', join(backups, 'good')])
})
afterAll(async () => {
  await removeServiceFolder(folder)
  await rm(backups, { recursive: true, force: true })
})

/** As `spawnService`, which is for tests and not for what is before them. */
async function startAndStop(dataDirectory: string): Promise<number> {
  const env = { PATH: process.env['PATH'] ?? '', PORT: '0', QFLARE_DATA_DIR: dataDirectory }
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', '..', 'main.ts')], { env })
  child.stdout.on('data', (text: Buffer) => text.toString().includes('ready at') && child.kill('SIGTERM'))
  const [code] = (await once(child, 'close')) as [number]
  return code
}

async function copyOfBackup(): Promise<string> {
  const copy = join(await makeBackupFolder(), 'copy')
  await cp(join(backups, 'good'), copy, { recursive: true })
  return copy
}

async function changeManifest(backup: string, change: (manifest: Record<string, unknown>) => void): Promise<void> {
  const path = join(backup, 'manifest.json')
  const manifest = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  change(manifest)
  await writeFile(path, JSON.stringify(manifest))
}

/** Refused, and nothing is there afterwards that was not before. */
async function expectNoRestore(backup: string, code: string, message: RegExp, args: string[] = []): Promise<void> {
  const target = join(await makeBackupFolder(), 'data')
  await expectRefused(target, ['restore', '--from', backup, ...args], code, message)
  expect(existsSync(target)).toBe(false)
}

describe('one part alone', () => {
  test('the database without its root key is not restored', async () => {
    await expectNoRestore(
      join(backups, 'good'),
      'root_key_missing',
      /without it the database opens nothing.*--root-key/,
    )
  })

  test('the database with another root key is not restored', async () => {
    const other = join(await makeBackupFolder(), 'root-key')
    await writeFile(other, otherRootKey, { mode: 0o600 })
    const message = /root key is not the one of this backup, whose root of trust is/
    await expectNoRestore(join(backups, 'good'), 'root_key_wrong', message, ['--root-key', other])
  })

  test('a root key that others may read is not taken', async () => {
    const open = join(await makeBackupFolder(), 'root-key')
    await cp(rootKey, open)
    await chmod(open, 0o644)
    await expectNoRestore(join(backups, 'good'), 'configuration_invalid', /chmod 600/, ['--root-key', open])
  })

  test('a root key without its database starts no empty service in its place', async () => {
    const alone = await makeTestFolder()
    await cp(rootKey, join(alone, 'root-key'))
    const service = spawnService(alone)
    expect(await service.ended()).toBe(1)
    expect(service.output.stderr).toMatch(
      /root-key: is there, but its database is not\. Restore that \(qflare restore\)/,
    )
    expect((await readdir(alone)).sort()).toEqual(['postgres.lock', 'root-key'])
    await operateJson(alone, ['restore', '--from', join(backups, 'good'), '--root-key', rootKey])
  })
})

describe('a backup that is not as it was made', () => {
  test('is refused when a byte of the data changed', async () => {
    const backup = await copyOfBackup()
    const file = await open(join(backup, 'base.tar'), 'r+')
    await file.write(Buffer.from([0xff]), 0, 1, 1_000_000)
    await file.close()
    await expectNoRestore(backup, 'backup_changed', /base\.tar of the backup is not what was backed up/, [
      '--root-key',
      rootKey,
    ])
  })

  test('is refused when its manifest was made to fit', async () => {
    const backup = await copyOfBackup()
    await changeManifest(backup, (manifest) => (manifest['finishedAt'] = 1_800_000_000_000))
    await expectNoRestore(backup, 'backup_changed', /manifest\.json was changed/, ['--root-key', rootKey])
  })

  test('is refused without a part of it', async () => {
    const backup = await copyOfBackup()
    await rm(join(backup, 'postgres-password'))
    await expectNoRestore(backup, 'backup_changed', /postgres-password of the backup cannot be read/, [
      '--root-key',
      rootKey,
    ])
    await rm(join(backup, 'manifest.json'))
    await expectNoRestore(backup, 'backup_incomplete', /is no whole backup/, ['--root-key', rootKey])
    await writeFile(join(backup, 'manifest.json'), '{"format":"qflare-backup/1"')
    await expectNoRestore(backup, 'backup_incomplete', /no manifest of this format/, ['--root-key', rootKey])
  })

  test('of a newer release is left to that', async () => {
    const backup = await copyOfBackup()
    await changeManifest(backup, (manifest) => (manifest['migrations'] as string[]).push('9999-later'))
    await expectNoRestore(backup, 'backup_newer', /does not know 9999-later/, ['--root-key', rootKey])
  })

  test('is told from a good one by --check, which restores nothing', async () => {
    const args = ['restore', '--check', '--from', join(backups, 'good'), '--root-key', rootKey]
    const before = await hashTree(folder)
    expect(await operate(folder, args)).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^The backup is whole/),
    })
    expect(await hashTree(folder)).toBe(before)
  })
})

describe('a place that is taken', () => {
  const restore = () => ['restore', '--from', join(backups, 'good'), '--root-key', rootKey]

  test('by a database keeps it, whether it runs or not', async () => {
    const before = await hashTree(folder)
    await expectRefused(folder, restore(), 'place_taken', /has a database already.*move this one away/)
    expect(await hashTree(folder)).toBe(before)
  })

  test('by another root key keeps it', async () => {
    const target = await makeTestFolder()
    await writeFile(join(target, 'root-key'), otherRootKey, { mode: 0o600 })
    await expectRefused(target, restore(), 'place_taken', /is another root key/)
    expect(await readdir(target)).toEqual(['root-key'])
  })

  test('is not written over by a backup, nor is the data folder one', async () => {
    const taken = await makeBackupFolder()
    await writeFile(join(taken, 'mine'), 'x')
    await expectRefused(folder, ['backup', '--out', taken], 'place_taken', /exists already/)
    expect(await readdir(taken)).toEqual(['mine'])
    await expectRefused(folder, ['backup', '--out', join(folder, 'b')], 'place_taken', /would be lost with it/)
    const empty = join(taken, 'empty')
    await mkdir(empty)
    await operateJson(folder, ['backup', '--out', empty])
  })

  test('at DATABASE_URL is backed up and restored with its own tools', async () => {
    const url = 'postgresql://a:very-secret@127.0.0.1:1/x'
    const env = everyLogin(url)
    await expectRefused(folder, ['backup', '--out', join(backups, 'x')], 'not_embedded', /DATABASE_URL/, env)
    await expectRefused(folder, restore(), 'not_embedded', /DATABASE_URL/, env)
    const run = await operate(folder, ['backup', '--check'], env)
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('ECONNREFUSED') })
    expect(run.stdout + run.stderr).not.toContain('very-secret')
  })
})

test('without the root key of the database no backup is made that nobody could open', async () => {
  const out = join(await makeBackupFolder(), 'b')
  const env = { QFLARE_ROOT_KEY: otherRootKey }
  await expectRefused(
    folder,
    ['backup', '--out', out],
    'root_key_wrong',
    /Is the root key the one of this database\?/,
    env,
  )
  await expectRefused(folder, ['backup', '--check'], 'root_key_wrong', /root key/, env)
  expect(existsSync(out)).toBe(false)
  const nowhere = await makeBackupFolder()
  await expectRefused(nowhere, ['backup', '--check'], 'no_database', /There is no database in/)
})
