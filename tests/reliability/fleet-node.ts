import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

const READY_WITHIN_MS = 120_000
const ENDS_WITHIN_MS = 40_000

/** One process of a fleet after the other, in the same place. */
export interface FleetNode {
  /** From that checkout; resolves when it says that it is ready. Throws with what it said when it ends before. */
  start(checkout: string): Promise<void>
  /** Its exit code; null when a signal ended it. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>
  /** Everything that all of them said. */
  said(): string
}

export function createNode(env: Record<string, string>): FleetNode {
  let child: ChildProcess | undefined
  let exited: Promise<unknown> = Promise.resolve()
  let said = ''
  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null

  return {
    async start(checkout) {
      const { PATH = '' } = process.env
      const from = said.length
      const started = spawn(process.execPath, ['main.ts'], {
        cwd: checkout,
        env: { PATH, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child = started
      exited = once(started, 'close')
      for (const stream of [started.stdout, started.stderr]) {
        stream.on('data', (text: Buffer) => (said += text.toString()))
      }
      const deadline = performance.now() + READY_WITHIN_MS
      while (!/"msg":"ready at /.test(said.slice(from))) {
        if (!isRunning() || performance.now() > deadline) {
          throw new Error(`a process of role ${env['QFLARE_ROLES']} is not ready:\n${said.slice(from).slice(-4_000)}`)
        }
        await sleep(20)
      }
    },
    async stop(signal) {
      if (!isRunning()) return child?.exitCode ?? null
      child?.kill(signal)
      const late = Symbol('late')
      if ((await Promise.race([exited, sleep(ENDS_WITHIN_MS, late, { ref: false })])) === late) {
        child?.kill('SIGKILL')
        throw new Error(`a process of role ${env['QFLARE_ROLES']} did not end:\n${said.slice(-4_000)}`)
      }
      return child?.exitCode ?? null
    },
    said: () => said,
  }
}
