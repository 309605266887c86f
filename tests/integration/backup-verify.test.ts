import { spawn } from 'node:child_process'
import { chmod, mkdir, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { isRoot } from '../support/embedded.ts'
import {
  expectRefusedOperation as expectRefused,
  hashTree,
  makeBackupFolder,
  operate,
  operateJson,
  query,
  stop,
} from '../support/operations.ts'
import { enrollClient, makeServiceFolder, removeServiceFolder, spawnService } from '../support/service-process.ts'

// Each step is a process of its own, and some are services.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

const main = join(import.meta.dirname, '..', '..', 'operations', 'qflare.ts')

/** Of a service with a device. */
let folder: string
let rootKey: string
beforeAll(async () => {
  folder = await makeServiceFolder()
  rootKey = join(folder, 'root-key')
})
afterAll(() => removeServiceFolder(folder))

/** Where PostgreSQL's user may enter. */
async function makePlaces(): Promise<{ backup: string; scratch: string }> {
  const home = await makeBackupFolder()
  await chmod(home, 0o755)
  const scratch = join(home, 'scratch')
  await mkdir(scratch, { mode: 0o755 })
  await chmod(scratch, 0o755)
  return { backup: join(home, 'one'), scratch }
}

interface Verdict {
  isGood: boolean
  counts: Record<string, number>
  log: { size: number; differences: { index?: number; what: string }[] }
}

test('a good backup is restored aside, read whole and removed, while its service goes on', async () => {
  const service = spawnService(folder)
  await enrollClient(await service.ready(), folder)
  const { backup, scratch } = await makePlaces()
  await operateJson(folder, ['backup', '--out', backup])
  const before = await hashTree(backup)
  const args = ['backup', 'verify', backup, '--root-key', rootKey, '--scratch', scratch]
  const shown = await operateJson<Verdict>(folder, args)
  expect(shown).toMatchObject({ isGood: true, counts: { organizations: 1, principals: 1, identityKeys: 1 } })
  expect(shown.log.differences).toEqual([])
  expect(shown.log.size).toBeGreaterThan(20)
  const text = await operate(folder, args)
  expect(text).toMatchObject({ exitCode: 0, stderr: '', stdout: expect.stringContaining('The backup is whole') })
  expect(await readdir(scratch)).toEqual([])
  expect(await hashTree(backup)).toEqual(before)
  await stop(service)
})

test('a backup whose log was changed before it was made is told from a good one by every entry, which hashes of files do not see', async () => {
  const service = spawnService(folder)
  await service.ready()
  const change = (from: string, to: string) =>
    query(
      folder,
      'set session_replication_role = replica',
      `update audit_entry set entry = replace(entry, '${from}', '${to}') where index = 3`,
    )
  await change('"severity":"info"', '"severity":"warn"')
  const { backup, scratch } = await makePlaces()
  await operateJson(folder, ['backup', '--out', backup])
  await change('"severity":"warn"', '"severity":"info"')
  await stop(service)
  expect(await operate(folder, ['restore', '--check', '--from', backup, '--root-key', rootKey])).toMatchObject({
    exitCode: 0,
  })
  const args = ['backup', 'verify', backup, '--root-key', rootKey, '--scratch', scratch]
  const run = await operate(folder, args)
  expect(run).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/NOT what was signed:\n- entry 3 /) })
  const { stdout } = await operate(folder, [...args, '--json'])
  expect(JSON.parse(stdout)).toMatchObject({ isGood: false, log: { differences: [{ index: 3 }, { index: 3 }] } })
  expect(await readdir(scratch)).toEqual([])
})

test('what is no whole backup, or not this root key’s, is refused before anything is unpacked', async () => {
  const { backup, scratch } = await makePlaces()
  await operateJson(folder, ['backup', '--out', backup])
  const args = ['backup', 'verify', backup, '--scratch', scratch]
  await expectRefused(scratch, args, 'root_key_missing', /The root key is missing/)
  const wrong = { QFLARE_ROOT_KEY: '0f'.repeat(32) }
  await expectRefused(scratch, args, 'root_key_wrong', /not the one of this backup/, wrong)
  const file = await open(join(backup, 'base.tar'), 'r+')
  await file.write(Buffer.of(0xff), 0, 1, 700)
  await file.close()
  await expectRefused(scratch, [...args, '--root-key', rootKey], 'backup_changed', /base.tar/)
  await expectRefused(scratch, ['backup', 'verify', scratch], 'backup_incomplete', /no whole backup/)
  expect(await readdir(scratch)).toEqual([])
})

test('interrupted, it leaves neither a folder nor a server', async () => {
  const { backup, scratch } = await makePlaces()
  await operateJson(folder, ['backup', '--out', backup])
  const args = [main, 'backup', 'verify', backup, '--root-key', rootKey, '--scratch', scratch]
  const child = spawn(process.execPath, args, { env: { PATH: process.env['PATH'] ?? '' } })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const ended = new Promise((resolve) => child.on('close', resolve))
  await vi.waitFor(async () => expect(await readdir(scratch)).toHaveLength(1), { timeout: 60_000, interval: 5 })
  child.kill('SIGTERM')
  expect(await ended).toBe(1)
  expect(said).toMatch(/what was begun is undone. \(interrupted\)\n$/)
  expect(await readdir(scratch)).toEqual([])
})

test.skipIf(!isRoot)('a scratch folder that PostgreSQL’s user may not enter is refused, with what to do', async () => {
  const { backup, scratch } = await makePlaces()
  await operateJson(folder, ['backup', '--out', backup])
  await chmod(scratch, 0o700)
  const args = ['backup', 'verify', backup, '--root-key', rootKey, '--scratch', scratch]
  await expectRefused(folder, args, 'database_unusable', /cannot enter .*Name a folder that everybody may enter/)
  expect(await readdir(scratch)).toEqual([])
})
