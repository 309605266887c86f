import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator, type QflareOperator } from '../../client/operator.ts'
import { ANSWERS_FILE } from './check-answers.ts'
import { findCluster, removeDataFolder } from './embedded.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Generous for a machine with other work; a start takes about a second. */
const READY_WITHIN_MS = 45_000
const END_WITHIN_MS = 30_000
const MEMORY = '/dev/shm'

export interface ServiceProcess {
  readonly processId: number
  /** The URL of the line that says it is ready. Throws with what it said when it ends before. */
  ready(): Promise<string>
  /** What it ended with: its exit code, or the signal. Throws when that takes too long. */
  ended(): Promise<number | string>
  /** Until a line of its log, or what it wrote to standard error, matches. */
  said(pattern: RegExp): Promise<void>
  kill(signal: NodeJS.Signals): void
  readonly output: { stdout: string; stderr: string }
}

/** The service as `npm start` runs it, in an environment of its own. Gone at the end of the test whatever happens. */
export function spawnService(
  dataDirectory: string,
  env: Record<string, string> = {},
  args: readonly string[] = [],
): ServiceProcess {
  const main = ['--import', './tests/support/check-answers-of-process.ts', 'main.ts', ...args]
  const child = spawn(process.execPath, main, {
    cwd: root,
    env: { ...inherited(), PORT: '0', QFLARE_DATA_DIR: dataDirectory, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (text: Buffer) => (output.stdout += text.toString()))
  child.stderr.on('data', (text: Buffer) => (output.stderr += text.toString()))
  let end: number | string | undefined
  const closed = once(child, 'close').then(([code, signal]) => (end = (code as number | null) ?? String(signal)))
  onTestFinished(async () => {
    if (end === undefined) child.kill('SIGKILL')
    await closed
  })

  async function waitFor<T>(what: string, withinMs: number, find: () => T | undefined): Promise<T> {
    const deadline = performance.now() + withinMs
    for (;;) {
      const found = find()
      if (found !== undefined) return found
      const isLate = performance.now() > deadline
      if (isLate || end !== undefined) {
        throw new Error(`not ${what}${isLate ? '' : `, but ended with ${end}`}:\n${output.stdout}${output.stderr}`)
      }
      await sleep(20)
    }
  }

  return {
    processId: child.pid as number,
    output,
    ready: () =>
      waitFor('ready', READY_WITHIN_MS, () => /"url":"(https?:[^"]+)","msg":"ready at \1"/.exec(output.stdout)?.[1]),
    ended: () => waitFor('ended', END_WITHIN_MS, () => end),
    said: (pattern) =>
      waitFor(`said ${pattern}`, END_WITHIN_MS, () =>
        pattern.test(output.stdout + output.stderr) ? null : undefined,
      ).then(() => undefined),
    kill: (signal) => void child.kill(signal),
  }
}

function inherited(): Record<string, string> {
  const { PATH = '', [ANSWERS_FILE]: answersFile = '' } = process.env
  return { PATH, [ANSWERS_FILE]: answersFile }
}

/** A data folder for several starts; remove it with `removeServiceFolder`. Root's is open, so that PostgreSQL's data stays in it. */
export async function makeServiceFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-process-'))
  await chmod(folder, 0o711)
  return folder
}

/** With the server that may still serve it, and with its temporal keys, which lie on the memory file system. */
export async function removeServiceFolder(folder: string): Promise<void> {
  // Killed, it would leave its shared memory behind for good.
  for (const processId of await findPostmasters(folder)) process.kill(processId, 'SIGINT')
  const deadline = performance.now() + END_WITHIN_MS
  while ((await findPostmasters(folder)).length > 0 && performance.now() < deadline) await sleep(20)
  const path = await realpath(folder)
  await removeDataFolder(folder)
  const id = createHash('sha256').update(path).digest('hex').slice(0, 16)
  for (const name of await readdir(MEMORY).catch(() => [])) {
    if (name.startsWith('qflare-') && name.includes(id)) await rm(join(MEMORY, name), { recursive: true, force: true })
  }
}

/** Process ids of every PostgreSQL server that serves the folder, whatever its files say. */
export async function findPostmasters(folder: string): Promise<number[]> {
  const data = join(await findCluster(folder), 'data')
  const commands = (await readdir('/proc'))
    .filter((name) => /^\d+$/.test(name))
    .map(async (name) => [Number(name), await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')] as const)
  return (await Promise.all(commands)).filter(([, line]) => line.includes(`\0-D\0${data}\0`)).map(([id]) => id)
}

export async function readAdminToken(folder: string): Promise<string> {
  return (await readFile(join(folder, 'admin-token'), 'utf8')).trim()
}

export async function openAdmin(url: string, folder: string): Promise<QflareOperator> {
  return openOperator({ url, apiToken: await readAdminToken(folder) })
}

/** A device of the client library, enrolled by the admin of the folder. */
export async function enrollClient(url: string, folder: string): Promise<QflareDevice> {
  const { token } = await (await openAdmin(url, folder)).createEnrollmentToken({ kind: 'device' })
  return enrollDevice({ url, token, store: createMemoryStore(), name: 'edge' })
}
