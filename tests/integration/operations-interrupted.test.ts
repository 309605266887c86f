import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { temporalKeyFolders } from '../../runtime/temporal/temporal-key-folder.ts'
import { qflareMain } from '../support/command-suite.ts'
import { isRoot, makeDataFolder, removeDataFolder, start } from '../support/embedded.ts'
import { listEvents, makeBackupFolder, makeTestFolder, operateJson, stop } from '../support/operations.ts'
import { findPostmasters, spawnService } from '../support/service-process.ts'

// Each step is a process of its own, and some are services.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

const names = async (folder: string) => (await readdir(folder).catch((): string[] => [])).sort()

async function makeStoppedService(): Promise<string> {
  const folder = await makeTestFolder()
  const service = spawnService(folder)
  await service.ready()
  await stop(service)
  return folder
}

interface Interrupted {
  exitCode: number | null
  stderr: string
}

/** Runs `qflare`, and sends the signal as soon as `isTime`. */
async function interrupt(
  dataDirectory: string,
  args: string[],
  signal: NodeJS.Signals,
  isTime: () => Promise<boolean>,
): Promise<Interrupted> {
  const env = { PATH: process.env['PATH'] ?? '', QFLARE_DATA_DIR: dataDirectory, PORT: '0' }
  const child: ChildProcess = spawn(process.execPath, [qflareMain, ...args], { env })
  const stderr = text(child.stderr as NonNullable<ChildProcess['stderr']>)
  const closed = once(child, 'close')
  onTestFinished(() => void child.kill('SIGKILL'))
  while (child.exitCode === null && !(await isTime())) await sleep(1)
  child.kill(signal)
  const [exitCode] = (await closed) as [number | null]
  return { exitCode, stderr: await stderr }
}

/** Servers of a cluster that was not in its place yet. */
async function findBuilding(folder: string): Promise<string[]> {
  const lines = (await readdir('/proc'))
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => ''))
  return (await Promise.all(lines)).filter((line) => line.includes(`\0-D\0${join(folder, 'postgres.new-')}`))
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'a backup of a stopped service that gets a %s leaves no server and no folder',
  async (signal) => {
    const folder = await makeStoppedService()
    const out = join(await makeBackupFolder(), 'one')
    const hasBegun = async () => (await names(dirname(out))).length > 0
    const run = await interrupt(folder, ['backup', '--out', out], signal, hasBegun)
    expect(run.stderr).toMatch(/what was begun is undone\. \(interrupted\)\n$/)
    expect(run.exitCode).toBe(1)
    expect(await names(dirname(out))).toEqual([])
    expect(await findPostmasters(folder)).toEqual([])
    await operateJson(folder, ['backup', '--out', out])
  },
)

test('a backup has its name when it is whole, and not before', async () => {
  const folder = await makeStoppedService()
  const out = join(await makeBackupFolder(), 'one')
  const seen = new Set<string>()
  let isOver = false
  const over = operateJson(folder, ['backup', '--out', out]).finally(() => (isOver = true))
  while (!isOver) {
    for (const name of await names(dirname(out))) {
      seen.add(name.replace(/-\w{6}$/, ''))
      if (name === 'one') expect(await names(out)).toContain('manifest.json')
    }
    await sleep(1)
  }
  await over
  expect([...seen].sort()).toEqual(['one', 'one.partial'])
})

test('a restore that is stopped leaves nothing, and one that is killed is begun anew and told once', async () => {
  const folder = await makeStoppedService()
  const out = join(await makeBackupFolder(), 'one')
  await operateJson(folder, ['backup', '--out', out])
  const rootKey = join(folder, 'root-key')
  const args = ['restore', '--from', out, '--root-key', rootKey]

  const target = await makeTestFolder()
  const isUnpacking = async () => (await names(target)).some((name) => name.startsWith('postgres.new-'))
  const stopped = await interrupt(target, args, 'SIGTERM', isUnpacking)
  expect(stopped).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('(interrupted)') })
  expect(await names(target)).toEqual(['postgres.lock'])

  // The root key is the last thing before the database gets its place.
  const isAlmostDone = async () => (await names(target)).includes('root-key')
  expect(await interrupt(target, args, 'SIGKILL', isAlmostDone)).toMatchObject({ exitCode: null })
  expect(await names(target)).not.toContain('postgres')
  const service = spawnService(target)
  expect(await service.ended(), 'no empty database in its place').toBe(1)
  await operateJson(target, args)
  expect(await findBuilding(target)).toEqual([])
  expect((await names(target)).filter((name) => name.startsWith('postgres.new-'))).toEqual([])

  await spawnService(target).ready()
  expect(await listEvents(target, 'service.restored')).toHaveLength(1)
})

test('an admin token is recovered or not, and no server stays', async () => {
  const folder = await makeStoppedService()
  const before = await readFile(join(folder, 'admin-token'), 'utf8')
  const isRunning = async () => (await findPostmasters(folder)).length > 0
  const run = await interrupt(folder, ['admin-token', 'recover'], 'SIGTERM', isRunning)
  const isRecovered = (await readFile(join(folder, 'admin-token'), 'utf8')) !== before
  expect(run.exitCode).toBe(isRecovered ? 0 : 1)
  expect(await findPostmasters(folder)).toEqual([])
})

test('keys of a data folder that was removed do not outlive the one that is begun in its place', async () => {
  const folder = await makeStoppedService()
  const { memory } = await temporalKeyFolders(folder)
  const [old = ''] = await names(memory)
  for (const name of await names(folder)) await rm(join(folder, name), { recursive: true })
  const service = spawnService(folder)
  await service.ready()
  expect(service.output.stdout).toContain(`temporal keys of another root of trust were destroyed: ${join(memory, old)}`)
  expect(await names(memory)).toHaveLength(1)
  expect(await names(memory)).not.toContain(old)
})

test.skipIf(!isRoot)(
  'a first start that was killed before it recorded its database goes on with that one',
  async () => {
    const folder = join(await makeDataFolder(), 'private')
    await mkdir(folder, { mode: 0o700 })
    onTestFinished(() => removeDataFolder(folder))
    const first = await start(folder)
    await first.stop()
    const record = join(folder, 'postgres-location')
    await rename(record, `${record}.new`)
    const second = await start(folder)
    expect(second.host).toBe(first.host)
    expect((await readFile(record, 'utf8')).trim()).toBe(first.host)
  },
)
