import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { onTestFinished } from 'vitest'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../database/embedded.ts'

export const isRoot = process.getuid?.() === 0

/** A data folder for one test. Root's is open to others, so that everything stays in it. */
export async function makeDataFolder(prefix = 'qflare-embedded-'): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix))
  if (isRoot) await chmod(folder, 0o755)
  onTestFinished(() => removeDataFolder(folder))
  return folder
}

/** Ends what still serves the folder, then removes it and what lies elsewhere in its name. */
export async function removeDataFolder(folder: string): Promise<void> {
  const cluster = await findCluster(folder)
  const [processId] = (await readFile(join(cluster, 'data/postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  if (processId && (await serves(Number(processId), cluster))) {
    process.kill(Number(processId), 'SIGKILL')
    while (await serves(Number(processId), cluster)) await sleep(20)
  }
  if (cluster.startsWith('/var/lib/qflare/')) await rm(dirname(cluster), { recursive: true, force: true })
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

export async function findCluster(dataDirectory: string): Promise<string> {
  const recorded = await readFile(join(dataDirectory, 'postgres-location'), 'utf8').catch(() => '')
  return recorded.trim() || join(dataDirectory, 'postgres')
}

/** Starts it in this process; stopped at the end of the test whatever happens. */
export async function start(
  dataDirectory: string,
  options: Partial<EmbeddedPostgresOptions> = {},
): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDirectory, log: () => undefined, ...options })
  onTestFinished(() => postgres.stop())
  return postgres
}

export interface Answer {
  readonly host?: string
  readonly processId: number
  readonly code?: string
  readonly message?: string
}

/** Starts it in a process of its own; see embedded-owner.ts. */
export function spawnOwner(dataDirectory: string, modulePath?: string) {
  const script = fileURLToPath(new URL('embedded-owner.ts', import.meta.url))
  const args = modulePath === undefined ? [script, dataDirectory] : [script, dataDirectory, modulePath]
  const child = spawn(process.execPath, args)
  const exited = once(child, 'exit')
  child.stdin.on('error', () => undefined)
  const said = Promise.all([text(child.stdout), text(child.stderr)])
  onTestFinished(async () => {
    child.stdin.end()
    await exited
  })
  return {
    /** its first line, while it goes on running */
    answer: async (): Promise<Answer> => {
      const [line] = (await Promise.race([once(child.stdout, 'data'), said])) as [unknown]
      if (!String(line).endsWith('\n')) throw new Error(`the owner gave no answer: ${(await said).join('')}`)
      return JSON.parse(String(line)) as Answer
    },
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}

export async function startOwner(dataDirectory: string, modulePath?: string) {
  const owner = spawnOwner(dataDirectory, modulePath)
  return { answer: await owner.answer(), kill: owner.kill }
}

/** Runs statements as the superuser and returns the first column of the last one's rows. */
export async function query(postgres: EmbeddedPostgres, ...statements: string[]): Promise<unknown[]> {
  const client = new Client({
    host: postgres.host,
    port: postgres.port,
    user: 'postgres',
    database: 'postgres',
    password: postgres.superuserPassword,
  })
  client.on('error', () => undefined)
  await client.connect()
  try {
    let values: unknown[] = []
    for (const statement of statements) {
      const result = await client.query<unknown[]>({ text: statement, rowMode: 'array' })
      values = result.rows.map((row) => row[0])
    }
    return values
  } finally {
    await client.end()
  }
}

async function serves(processId: number, cluster: string): Promise<boolean> {
  const commandLine = await readFile(`/proc/${processId}/cmdline`, 'utf8').catch(() => '')
  return commandLine.includes(`\0${cluster}/data\0`)
}
