import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { haproxy } from './haproxy.ts'
import { findFreePort } from './redis.ts'

const WITHIN_MS = 60_000

export interface TestBalancer {
  url: string
  /** Until it sends requests to every server. */
  untilAllServe(): Promise<void>
  /** A new process with the configuration as it is; the one before goes when its connections have. */
  reload(): Promise<void>
  stop(): Promise<void>
}

/** A real HAProxy on loopback, as deploy/haproxy has it, before these servers; each is asked at its operator port whether it is ready. */
export async function startTestBalancer(
  servers: readonly { port: number; operatorPort: number }[],
): Promise<TestBalancer> {
  if (haproxy === undefined) throw new Error('this machine has no haproxy')
  const folder = await mkdtemp(join(tmpdir(), 'qflare-haproxy-'))
  const port = await findFreePort()
  const socket = join(folder, 'admin')
  await writeFile(join(folder, 'haproxy.cfg'), await toConfiguration(port, socket, servers))
  const child = spawn(haproxy, ['-W', '-db', '-f', join(folder, 'haproxy.cfg')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))

  async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + WITHIN_MS
    while (!(await isSo())) {
      if (child.exitCode !== null || performance.now() > deadline) throw new Error(`haproxy ${what}:\n${said}`)
      await sleep(20)
    }
  }

  const loaded = () => [...said.matchAll(/Loading success/g)].length
  await until('did not start', () => loaded() === 1)
  return {
    url: `http://127.0.0.1:${port}`,
    async untilAllServe() {
      await until('does not see every server', async () => {
        const rows = (await ask(socket, 'show stat')).split('\n').filter((row) => row.startsWith('api,api-'))
        return rows.length === servers.length && rows.every((row) => row.split(',')[STATUS] === 'UP')
      })
    },
    async reload() {
      const before = loaded()
      child.kill('SIGUSR2')
      await until('was not loaded again', () => loaded() > before)
    },
    async stop() {
      await end(child)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Of a row of `show stat`. */
const STATUS = 17

/** That of deploy/haproxy, with addresses of this test, without TLS, which has tests of its own, and asking more often. */
async function toConfiguration(
  port: number,
  socket: string,
  servers: readonly { port: number; operatorPort: number }[],
): Promise<string> {
  const lines = servers.map(
    (server, at) => `  server api-${at + 1} 127.0.0.1:${server.port} check port ${server.operatorPort}`,
  )
  const template = await readFile(new URL('../../deploy/haproxy/haproxy.cfg', import.meta.url), 'utf8')
  const changes: [RegExp, string][] = [
    [/^global$/m, `global\n  stats socket ${socket} mode 600 level operator`],
    [/^ {2}log stdout .*$/m, ''],
    [/^ {2}log global\n {2}option httplog$/m, ''],
    // Each costs descriptors, of which a container may have fewer.
    [/^ {2}maxconn 20000$/m, '  maxconn 1000'],
    [/^ {2}bind .*$/m, `  bind 127.0.0.1:${port}`],
    [/ port 9464 inter 1s /, ' inter 250ms '],
    // A machine that is busy with all of a fleet is not one that is down.
    [/^ {2}timeout check .*$/m, '  timeout check 30s'],
    [/^ {2}server-template .*$/m, lines.join('\n')],
  ]
  let configuration = template
  for (const [before, after] of changes) {
    if (!before.test(configuration)) throw new Error(`deploy/haproxy/haproxy.cfg has no ${before.source}`)
    configuration = configuration.replace(before, after)
  }
  return configuration
}

async function ask(socket: string, question: string): Promise<string> {
  const connection = createConnection(socket)
  connection.end(`${question}\n`)
  // While it is loaded again nobody may be there.
  return text(connection).catch(() => '')
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await gone
}
