import { createHash } from 'node:crypto'
import { lstat, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { expect, onTestFinished } from 'vitest'
import { inspectEmbedded } from '../../database/inspect-embedded.ts'
import { type CommandRun, runQflare } from './command-suite.ts'
import { makeServiceFolder, removeServiceFolder, type ServiceProcess } from './service-process.ts'

/** `qflare` on the machine of a data folder, as its operator. */
export function operate(dataDirectory: string, args: string[], env: Record<string, string> = {}): Promise<CommandRun> {
  return runQflare(args, { folder: tmpdir(), env: { QFLARE_DATA_DIR: dataDirectory, PORT: '0', ...env } })
}

/** The same with `--json`; throws with what it said unless it succeeds. */
export async function operateJson<T>(
  dataDirectory: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<T> {
  const run = await operate(dataDirectory, [...args, '--json'], env)
  expect(run, `qflare ${args.join(' ')}`).toMatchObject({ exitCode: 0 })
  return JSON.parse(run.stdout) as T
}

/** What it refuses, by its code, and what it says. */
export async function expectRefusedOperation(
  dataDirectory: string,
  args: string[],
  code: string,
  message: RegExp,
  env: Record<string, string> = {},
): Promise<void> {
  const run = await operate(dataDirectory, args, env)
  expect(run.stderr).toMatch(message)
  expect(run.stderr).toMatch(new RegExp(`\\(${code}\\)\\n$`))
  expect(run).toMatchObject({ exitCode: 1, stdout: '' })
}

/** For one test. */
export async function makeTestFolder(): Promise<string> {
  const folder = await makeServiceFolder()
  onTestFinished(() => removeServiceFolder(folder))
  return folder
}

/** Where backups go, for one test. */
export async function makeBackupFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-backups-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export async function stop(service: ServiceProcess): Promise<void> {
  service.kill('SIGTERM')
  expect(await service.ended()).toBe(0)
}

/** Statements behind the API, on the database of a running service; the last one's rows. */
export async function query<R extends object>(dataDirectory: string, ...statements: string[]): Promise<R[]> {
  const client = await connect(dataDirectory)
  try {
    let rows: R[] = []
    for (const statement of statements) ({ rows } = await client.query<R>(statement))
    return rows
  } finally {
    await client.end()
  }
}

export interface StoredEvent {
  type: string
  severity: string
  subject: Record<string, string | number>
  data: Record<string, unknown>
  requestId: string
}

/** Of a running service, oldest first: what is in the log, and what waits to be taken there. */
export async function listEvents(dataDirectory: string, type: string): Promise<StoredEvent[]> {
  const rows = await query<{ entry: string }>(
    dataDirectory,
    `select entry from (select 0 as place, index as number, entry from audit_entry
        union all select 1, seq, entry from audit_outbox) logged
      where entry::jsonb ->> 'type' = '${type}' order by place, number`,
  )
  return rows.map(({ entry }) => JSON.parse(entry))
}

export async function connect(dataDirectory: string): Promise<Client> {
  const found = await inspectEmbedded(dataDirectory)
  if (found.state !== 'running') throw new Error(`the database of ${dataDirectory} is ${found.state}`)
  const client = new Client(found.superuser)
  await client.connect()
  return client
}

/** Names, modes, owners, times and contents of everything below a folder, in one value. */
export async function hashTree(folder: string): Promise<string> {
  const hash = createHash('sha256')
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    const path = join(folder, name)
    const { mode, uid, gid, size, mtimeMs } = await lstat(path)
    hash.update(JSON.stringify([name, mode, uid, gid, size, mtimeMs]))
    if ((mode & 0o170000) === 0o100000) hash.update(await readFile(path))
  }
  return hash.digest('hex')
}
