import { execFileSync } from 'node:child_process'
import { chown, cp, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { requireSpace } from '../../operations/create-backup.ts'
import { restoreBackup } from '../../operations/restore-backup.ts'
import { verifyBackup } from '../../operations/verify-backup.ts'
import { isRoot } from '../support/embedded.ts'
import {
  expectRefusedOperation,
  makeBackupFolder,
  makeTestFolder,
  operate,
  operateJson,
} from '../support/operations.ts'
import { times } from '../support/rotation.ts'
import { crypto } from '../support/service.ts'
import { makeServiceFolder, removeServiceFolder, spawnService } from '../support/service-process.ts'

// Each step is a process of its own, and some are services.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

/** A backup with everything in it, of a service that every test leaves as it is. */
let folder: string
let backups: string
let good: string

beforeAll(async () => {
  folder = await makeServiceFolder()
  backups = await makeServiceFolder()
  good = join(backups, 'good')
})
afterAll(async () => {
  await removeServiceFolder(folder)
  await rm(backups, { recursive: true, force: true })
})

test('a backup is made, for what follows', async () => {
  const service = spawnService(folder)
  await service.ready()
  service.kill('SIGTERM')
  expect(await service.ended()).toBe(0)
  await operateJson(folder, ['backup', '--out', good])
  expect(await readdir(backups)).toEqual(['good'])
})

async function copyOfBackup(): Promise<string> {
  const copy = join(await makeBackupFolder(), 'copy')
  await cp(good, copy, { recursive: true })
  return copy
}

const rootKeyFile = () => join(folder, 'root-key')

describe('what changes after it was verified', () => {
  const flip = async (path: string, position: number) => {
    const file = await open(path, 'r+')
    const { size } = await file.stat()
    const byte = Buffer.alloc(1)
    const at = (position + size) % size
    await file.read(byte, 0, 1, at)
    await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at)
    await file.close()
  }
  /** In the middle of the first large file: what is wrong with the head of one is found for what it is. */
  async function findContent(path: string): Promise<number> {
    const archive = await readFile(path)
    for (let at = 0; ; ) {
      const size = Number.parseInt(archive.toString('latin1', at + 124, at + 135), 8)
      if (size >= 100_000) return at + 512 + size / 2
      at += 512 + Math.ceil(size / 512) * 512
    }
  }
  const changes: [string, (backup: string) => Promise<void>][] = [
    [
      'a byte of a file in the archive',
      async (backup) => flip(join(backup, 'base.tar'), await findContent(join(backup, 'base.tar'))),
    ],
    ['the last byte of the archive, behind all that is unpacked', (backup) => flip(join(backup, 'base.tar'), -1)],
    ['the password', (backup) => flip(join(backup, 'postgres-password'), 3)],
  ]

  async function restoreChanged(change: (backup: string) => Promise<void>) {
    const backup = await copyOfBackup()
    const options = { crypto, folder: backup, rootKeyFile: rootKeyFile(), env: {}, onProgress: () => {} }
    const verified = await verifyBackup(options)
    await change(backup)
    const dataDirectory = await makeTestFolder()
    const { signal } = new AbortController()
    const restoring = restoreBackup({
      ...options,
      backup: verified,
      dataDirectory,
      checkpointFile: join(dataDirectory, 'audit-checkpoint'),
      rotation: times,
      signal,
      log: () => {},
    })
    return { restoring, dataDirectory }
  }

  const expectNothing = async (dataDirectory: string) =>
    expect((await readdir(dataDirectory)).filter((name) => name !== 'postgres.lock')).toEqual([])

  test.each(changes)('is not restored: %s', async (_what, change) => {
    const { restoring, dataDirectory } = await restoreChanged(change)
    await expect(restoring).rejects.toMatchObject({ code: 'backup_changed' })
    await expectNothing(dataDirectory)
  })

  test('is not waited for: a FIFO in the place of the archive', async () => {
    const { restoring, dataDirectory } = await restoreChanged(async (backup) => {
      await rm(join(backup, 'base.tar'))
      execFileSync('mkfifo', [join(backup, 'base.tar')])
    })
    await expect(restoring).rejects.toThrow(/ESPIPE/)
    await expectNothing(dataDirectory)
  })
})

describe('a backup with what does not belong there', () => {
  const restore = (backup: string) => ['restore', '--check', '--from', backup]

  test('takes no root key that its manifest does not name', async () => {
    const backup = await copyOfBackup()
    await writeFile(join(backup, 'root-key'), '0f'.repeat(32), { mode: 0o600 })
    const env = { QFLARE_ROOT_KEY_FILE: rootKeyFile() }
    expect(await operate(folder, restore(backup), env)).toMatchObject({ exitCode: 0 })
  })

  test.each(['manifest.json', 'base.tar', 'postgres-password'])('is refused at once: a FIFO as %s', async (name) => {
    const backup = await copyOfBackup()
    await rm(join(backup, name))
    execFileSync('mkfifo', [join(backup, name)])
    const code = name === 'manifest.json' ? 'backup_incomplete' : 'backup_changed'
    await expectRefusedOperation(folder, restore(backup), code, /cannot be read/, {
      QFLARE_ROOT_KEY_FILE: rootKeyFile(),
    })
  })

  test('is refused: a manifest without end', async () => {
    const backup = await copyOfBackup()
    await writeFile(join(backup, 'manifest.json'), ' '.repeat(2 << 20))
    await expectRefusedOperation(folder, restore(backup), 'backup_incomplete', /larger than/)
  })
})

test('a backup of another trust domain is not placed where the service would not start', async () => {
  const target = await makeTestFolder()
  const args = ['restore', '--from', good, '--root-key', rootKeyFile()]
  const env = { QFLARE_TRUST_DOMAIN: 'other.example' }
  await expectRefusedOperation(target, args, 'trust_domain_wrong', /Set QFLARE_TRUST_DOMAIN=qflare\.local/, env)
  expect(await readdir(target)).toEqual([])
})

describe('a place for a backup', () => {
  const backup = (out: string) => ['backup', '--out', out]

  test('is not in the data folder, whatever its name', async () => {
    for (const name of ['b', '..b', '...']) {
      await expectRefusedOperation(folder, backup(join(folder, name)), 'place_taken', /would be lost with it/)
    }
    await expectRefusedOperation(folder, backup(folder), 'place_taken', /would be lost with it/)
  })

  test.skipIf(!isRoot)('is not in the place of PostgreSQL outside the data folder either', async () => {
    const hidden = join(await makeBackupFolder(), 'private')
    await mkdir(hidden, { mode: 0o700 })
    onTestFinished(() => removeServiceFolder(hidden))
    await operateJson(hidden, ['restore', '--from', good, '--root-key', rootKeyFile()])
    const outside = (await readFile(join(hidden, 'postgres-location'), 'utf8')).trim()
    await expectRefusedOperation(hidden, backup(join(outside, 'b')), 'place_taken', /would be lost with it/)
  })

  test('has to have room for it', () => {
    expect(() => requireSpace(backups, 2 ** 60)).toThrow(expect.objectContaining({ code: 'no_space' }))
    expect(() => requireSpace(backups, 1)).not.toThrow()
  })

  test('and the data folder have to be there: what is not is said plainly', async () => {
    const nowhere = join(backups, 'nowhere')
    await expectRefusedOperation(nowhere, backup(join(backups, 'x')), 'no_database', /There is no database in/)
    await expectRefusedOperation(folder, backup(join(nowhere, 'x')), 'file_unusable', /ENOENT/)
  })
})

test.skipIf(!isRoot)('nobody works in the data folder of somebody else, root neither', async () => {
  const foreign = await makeTestFolder()
  await rename(foreign, `${foreign}-empty`)
  onTestFinished(() => rm(`${foreign}-empty`, { recursive: true }))
  await cp(folder, foreign, { recursive: true })
  await chown(foreign, 65_534, 65_534)
  const before = (await readdir(foreign)).sort()
  for (const args of [
    ['admin-token', 'recover'],
    ['backup', '--out', join(backups, 'y')],
    ['backup', '--check'],
    ['restore', '--from', good, '--root-key', rootKeyFile()],
  ]) {
    await expectRefusedOperation(foreign, args, 'not_owner', /belongs to user id 65534: run this as that user/)
  }
  expect((await readdir(foreign)).sort()).toEqual(before)
})
