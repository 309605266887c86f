import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Redis } from 'ioredis'

/** Whether this machine has Debian's `redis-server`. In CI it has to: a test that is skipped there proves nothing. */
export const hasRedis =
  process.env.CI === 'true' ||
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'redis-server')))

export interface TestRedis {
  url: string
  /** Of the server that runs now. */
  processId(): number
  /** For a look behind the service. */
  client: Redis
  /** `kill -9`; what it held is gone. */
  kill(): Promise<void>
  /** After `kill`, on the same port, empty. */
  restart(settings?: Record<string, string>): Promise<void>
  /** It takes connections and answers nothing, until `resume`. */
  pause(): void
  resume(): void
  stop(): Promise<void>
}

/** A real Redis of its own, on loopback, that keeps nothing on a disk unless `settings` say so. */
export async function startTestRedis(settings: Record<string, string> = {}): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-redis-'))
  const port = await findFreePort()
  const url = `redis://127.0.0.1:${port}`
  const all = { save: '', appendonly: 'no', 'maxmemory-policy': 'noeviction', dir: folder, ...settings }
  let child = await start(port, all)
  const client = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
  client.on('error', () => {})

  async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }
  return {
    url,
    processId: () => child.pid as number,
    client,
    kill: () => end('SIGKILL'),
    async restart(settings = {}) {
      child = await start(port, { ...all, ...settings })
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    async stop() {
      client.disconnect()
      child.kill('SIGCONT')
      await end('SIGTERM')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function start(port: number, settings: Record<string, string>): Promise<ChildProcess> {
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise<void>((resolve, reject) => {
    let output = ''
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${output.slice(-500)}`)))
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      if (output.includes('Ready to accept connections')) resolve()
    })
  })
  child.stdout?.removeAllListeners('data').resume()
  child.removeAllListeners('exit')
  return child
}

export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
