import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { temporalKeyFolder } from '../../runtime/temporal/temporal-key-folder.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const READY_WITHIN_MS = 60_000
const ENDS_WITHIN_MS = 30_000

/** Requests without end from one address are what this is about, and what limits are against. */
export const noLimits = Object.fromEntries(
  ['CONNECTIONS', 'ADDRESS', 'ADDRESS_REFUSED', 'API_TOKEN', 'DEVICE', 'ORGANIZATION'].map((name) => [
    `QFLARE_LIMIT_${name}`,
    '0',
  ]),
)

/** The service as `npm start` runs it, outside of vitest, one process after the other in one data folder. */
export interface KilledService {
  dataDirectory: string
  adminToken(): Promise<string>
  /** Its URL when it is ready. Throws with what it said when it ends before. */
  start(): Promise<string>
  isRunning(): boolean
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** Waits until it has ended; its exit code. */
  ended(): Promise<number | null>
  /** SIGTERM, and its exit code. */
  stop(): Promise<number | null>
  /** Call when nothing runs any more. */
  removeFolder(): Promise<void>
}

export async function makeFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix))
  // PostgreSQL runs as another user where root runs this.
  await chmod(folder, 0o711)
  return folder
}

export async function createKilledService(env: Record<string, string> = {}): Promise<KilledService> {
  const dataDirectory = await makeFolder('qflare-killed-')
  // Half of a start is the compilation of what did not change since the last.
  const compiled = await makeFolder('qflare-compiled-')
  let child: ChildProcess | undefined
  let exited: Promise<unknown> = Promise.resolve()
  let said = ''
  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null

  async function ended(): Promise<number | null> {
    const late = Symbol('late')
    if ((await Promise.race([exited, sleep(ENDS_WITHIN_MS, late, { ref: false })])) === late) {
      throw new Error(`the service did not end:\n${said.slice(-4_000)}`)
    }
    return child?.exitCode ?? null
  }

  return {
    dataDirectory,
    adminToken: async () => (await readFile(join(dataDirectory, 'admin-token'), 'utf8')).trim(),
    async start() {
      const { PATH = '' } = process.env
      said = ''
      const started = spawn(process.execPath, ['main.ts'], {
        cwd: root,
        env: {
          PATH,
          NODE_COMPILE_CACHE: compiled,
          ...noLimits,
          PORT: '0',
          QFLARE_DATA_DIR: dataDirectory,
          ...env,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child = started
      exited = once(started, 'close')
      for (const stream of [started.stdout, started.stderr]) {
        stream.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-64_000)))
      }
      const deadline = performance.now() + READY_WITHIN_MS
      for (;;) {
        const url = /"url":"(http:[^"]+)","msg":"ready at \1"/.exec(said)?.[1]
        if (url !== undefined) return url
        if (!isRunning() || performance.now() > deadline) throw new Error(`the service is not ready:\n${said}`)
        await sleep(10)
      }
    },
    isRunning,
    async kill() {
      child?.kill('SIGKILL')
      await exited
    },
    ended,
    async stop() {
      child?.kill('SIGTERM')
      return ended()
    },
    async removeFolder() {
      for (const folder of [await temporalKeyFolder(dataDirectory), dataDirectory, compiled]) {
        await rm(folder, { recursive: true, force: true })
      }
    },
  }
}
