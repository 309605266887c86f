import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort } from './redis.ts'

/** Debian's place for it is in the PATH of root alone. */
const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
/** Undefined where it is missing. */
export const haproxy = folders.map((folder) => join(folder, 'haproxy')).find((path) => existsSync(path))

/** Whether this machine has Debian's `haproxy`. In CI it has to: a test that is skipped there proves nothing. */
export const hasHaproxy = process.env.CI === 'true' || haproxy !== undefined

export interface TestHaproxy {
  url: string
  stop(): Promise<void>
}

/** A real HAProxy on loopback, with one connection to what is behind it, which it keeps and gives to whoever comes next. */
export async function startTestHaproxy(backendUrl: string): Promise<TestHaproxy> {
  if (haproxy === undefined) throw new Error('this machine has no haproxy')
  const folder = await mkdtemp(join(tmpdir(), 'qflare-haproxy-'))
  const [port, { host }] = [await findFreePort(), new URL(backendUrl)]
  const file = join(folder, 'haproxy.cfg')
  await writeFile(
    file,
    `global
  maxconn 100
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout queue 30s
  option abortonclose
  http-reuse always
frontend all
  bind 127.0.0.1:${port}
  default_backend service
backend service
  server one ${host} maxconn 1
`,
  )
  const child = spawn(haproxy, ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  await untilItListens(child, port)
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, 'exit')
        child.kill('SIGTERM')
        await gone
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function untilItListens(child: ChildProcess, port: number): Promise<void> {
  let output = ''
  child.stderr?.on('data', (text: Buffer) => (output += text.toString()))
  for (;;) {
    if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}: ${output.slice(-500)}`)
    const socket = connect(port, '127.0.0.1')
    const isThere = await Promise.race([
      once(socket, 'connect').then(() => true),
      new Promise<false>((resolve) => socket.once('error', () => resolve(false))),
    ]).catch(() => false)
    socket.destroy()
    if (isThere) return
    await sleep(20)
  }
}
