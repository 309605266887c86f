import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface BenchService {
  url: string
  adminToken: string
  /** Of the API; PostgreSQL is a child of it. */
  pid: number
  stop(): Promise<void>
}

const READY_WITHIN_MS = 60_000

/** The service as `npm start` runs it, on a free port and a data folder of its own, with its usual log going nowhere. */
export async function startBenchService(): Promise<BenchService> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'qflare-bench-'))
  // PostgreSQL runs as another user when root runs the bench.
  await chmod(dataDirectory, 0o711)
  const main = fileURLToPath(new URL('../../main.ts', import.meta.url))
  const child = spawn(process.execPath, [main], {
    cwd: dirname(main),
    env: { ...process.env, PORT: '0', QFLARE_DATA_DIR: dataDirectory },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const url = await readUrl(child)
    return {
      url,
      adminToken: (await readFile(join(dataDirectory, 'admin-token'), 'utf8')).trim(),
      pid: child.pid as number,
      async stop() {
        child.kill('SIGTERM')
        await once(child, 'exit')
        await rm(dataDirectory, { recursive: true, force: true })
      },
    }
  } catch (error) {
    child.kill('SIGTERM')
    throw error
  }
}

async function readUrl(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const bound = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS)
  try {
    for await (const line of lines) {
      const { url } = JSON.parse(line) as { url?: string }
      if (url !== undefined) return url
    }
    throw new Error('The service ended before it was ready.')
  } finally {
    clearTimeout(bound)
    // The log has to be read on, or the service would wait for us.
    child.stdout?.resume()
  }
}
