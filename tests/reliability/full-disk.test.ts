import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { LogPlace } from './log-place.ts'
import { type LogUnderTest, makeLogUnderTest } from './log-under-test.ts'

vi.setConfig({ testTimeout: 120_000 })

const program = fileURLToPath(new URL('run-sequencer.ts', import.meta.url))
const PAGE_BYTES = 4_096
const WATCHED_MS = 3_000
const MOUNT = 'mount -t tmpfs -o size=64k,mode=700 tmpfs "$1" && shift && exec "$@"'
const inOwnMounts = ['unshare', '-m', 'sh', '-c', MOUNT, 'sh']

const mayMount = canRun([...inOwnMounts, tmpdir(), 'true'])
const mayLimit = canRun(['prlimit', '--version'])

function canRun([command = '', ...args]: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** The sequencer in a process of its own, behind the words of `wrapper`. */
async function start(place: LogPlace, wrapper: string[] = []): Promise<ChildProcessWithoutNullStreams> {
  const [command, ...args] = [...wrapper, process.execPath, program, JSON.stringify(place)]
  const child = spawn(command, args)
  const ended = once(child, 'exit')
  child.stdin.on('error', () => {})
  child.stderr.pipe(process.stderr)
  onTestFinished(async () => {
    child.stdin.end()
    await ended
  })
  await Promise.race([once(child.stdout, 'data'), ended.then(() => Promise.reject(new Error('it did not start')))])
  return child
}

/** With two lines of signatures: longer than two pages, so that a disk with one takes a part of it. */
async function makeLog(): Promise<LogUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-full-'))
  const checkpointFile = join(folder, 'place', 'audit-checkpoint')
  await mkdir(dirname(checkpointFile))
  const log = await makeLogUnderTest({ has87: true, checkpointFile })
  onTestFinished(async () => {
    await log.close()
    await rm(folder, { recursive: true, force: true })
  })
  return log
}

/** While there is no room nothing is published and the old file stays; when there is, everything comes, in one tree. */
async function expectPatience(log: LogUnderTest, fill: () => Promise<void>, free: () => Promise<void>): Promise<void> {
  await log.tell(5)
  await log.untilPublished(20_000)
  await fill()
  const signed = log.signed().length
  const late = await log.tellLate()
  await log.tell(3)
  // It tries again and again meanwhile.
  for (const end = performance.now() + WATCHED_MS; performance.now() < end; ) {
    expect(await log.sizeInFile()).toBe(5)
    expect((await log.state()).published).toBe(5)
    await sleep(2)
  }
  expect(log.signed().length).toBeGreaterThan(signed)
  await late.commit()
  await log.tell(4)
  const state = await log.state()
  expect(state).toMatchObject({ published: 5 })
  expect(state.size + state.outbox).toBe(log.told.size)
  await free()
  await log.untilPublished(30_000)
  expect(await log.check()).toBe(13)
  expect(await log.sizeInFile()).toBe(13)
  expect(await readdir(dirname(log.place.checkpointFile))).toEqual(['audit-checkpoint'])
}

test.skipIf(!mayMount)('a full disk under the checkpoint file holds the log up, and costs nothing of it', async () => {
  const log = await makeLog()
  const { checkpointFile } = log.place
  const child = await start(log.place, [...inOwnMounts, dirname(checkpointFile)])
  // The disk is the child's alone, and gone with it.
  const disk = `/proc/${child.pid}/root${dirname(checkpointFile)}`
  log.place.checkpointFile = join(disk, 'audit-checkpoint')
  const filler = join(disk, 'filler')
  await expectPatience(
    log,
    async () => {
      const bytes = await fillUp(filler)
      await truncate(filler, bytes - PAGE_BYTES)
    },
    () => rm(filler),
  )
})

async function fillUp(path: string): Promise<number> {
  const file = await open(path, 'w')
  try {
    for (let bytes = 0; ; bytes += PAGE_BYTES) {
      const { bytesWritten } = await file.write(Buffer.alloc(PAGE_BYTES, 1)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOSPC') throw error
        return { bytesWritten: 0 }
      })
      if (bytesWritten < PAGE_BYTES) return bytes
    }
  } finally {
    await file.close()
  }
}

test.skipIf(!mayLimit)('so does a file that may not grow to its length', async () => {
  const log = await makeLog()
  const child = await start(log.place)
  const limit = (bytes: string) => {
    const { status } = spawnSync('prlimit', ['--pid', String(child.pid), `--fsize=${bytes}:`])
    expect(status).toBe(0)
  }
  await expectPatience(
    log,
    async () => limit(String(PAGE_BYTES)),
    async () => limit('unlimited'),
  )
})

test('so does a folder that is gone, with something else in its place', async () => {
  const log = await makeLog()
  await start(log.place)
  const folder = dirname(log.place.checkpointFile)
  const elsewhere = `${folder}.away`
  const inPlace = log.place.checkpointFile
  await expectPatience(
    log,
    async () => {
      await rename(folder, elsewhere)
      await writeFile(folder, 'no folder')
      log.place.checkpointFile = join(elsewhere, 'audit-checkpoint')
    },
    async () => {
      await rm(folder)
      await rename(elsewhere, folder)
      log.place.checkpointFile = inPlace
    },
  )
})
