import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { childOptions, runAs } from './account.ts'
import type { Cluster } from './cluster.ts'
import { EmbeddedPostgresError, findErrorCode } from './error.ts'
import { isForeignProcess, isPostmaster, type Postmaster, readPidFile } from './postmaster-file.ts'
import { removeSocketFolder, socketName } from './socket-folder.ts'

const pollMs = 10
/** crash recovery reads up to max_wal_size (1 GB) of log */
const readyWithinMs = 120_000
/** how long the children of a killed postmaster may take to notice */
const leftoversWithinMs = 15_000
const leftoversUnaskedMs = 1_000
const quitWithinMs = 6_000
const killWithinMs = 2_000

/** Starts PostgreSQL and waits until it takes connections. */
export async function startPostmaster(cluster: Cluster, command: readonly string[], socketFolder: string) {
  const startedAt = performance.now()
  await rename(logFile(cluster), `${logFile(cluster)}.1`).catch(ignoreMissing)
  for (;;) {
    const attempt = await tryStart(cluster, command, socketFolder)
    if (typeof attempt !== 'string') return attempt
    const occupied = /still in use|lock file ".*" already exists/.test(attempt)
    const waitedMs = performance.now() - startedAt
    if (!occupied || waitedMs > leftoversWithinMs) throw startFailed(cluster, attempt)
    if (waitedMs > leftoversUnaskedMs) await endLeftovers(cluster)
    await sleep(200)
  }
}

/** The postmaster, or what it said before it ended. */
async function tryStart(
  cluster: Cluster,
  command: readonly string[],
  socketFolder: string,
): Promise<Postmaster | string> {
  await removeStaleLocks(cluster, socketFolder)
  const [program = '', ...args] = command
  const log = await openLog(cluster)
  let ended: string | undefined
  try {
    const child = spawn(program, args, { ...childOptions(cluster.account), stdio: ['ignore', log.fd, log.fd] })
    child.on('error', (error) => (ended = error.message))
    child.on('exit', (code, signal) => (ended ??= `ended with ${signal ?? `status ${code}`}`))
    child.unref()
    const deadline = performance.now() + readyWithinMs
    while (ended === undefined) {
      const file = await readPidFile(cluster.pgdata)
      if (file?.processId === child.pid && file?.status === 'ready') {
        return { processId: file.processId, socketFolder, commandLine: command.join(' ') }
      }
      if (performance.now() > deadline) {
        if (child.pid) await stopPostmaster(cluster, child.pid, quitWithinMs)
        ended = `was not ready after ${readyWithinMs / 1000} seconds`
      }
      await sleep(pollMs)
    }
  } finally {
    await log.close()
  }
  return `${ended}\n${await readTail(cluster)}`
}

/** Fast shutdown; immediate shutdown when that takes longer than `fastWithinMs`; killed when even that does not help. */
export async function stopPostmaster(cluster: Cluster, processId: number, fastWithinMs: number): Promise<void> {
  const escalation: [NodeJS.Signals, number][] = [
    ['SIGINT', fastWithinMs],
    ['SIGQUIT', quitWithinMs],
    ['SIGKILL', killWithinMs],
  ]
  for (const [signal, withinMs] of escalation) {
    const deadline = performance.now() + withinMs
    if (!(await isPostmaster(cluster, processId))) return
    try {
      process.kill(processId, signal)
    } catch (error) {
      if (findErrorCode(error) === 'ESRCH') return
      throw error
    }
    while (performance.now() < deadline) {
      if (!(await isPostmaster(cluster, processId))) return
      await sleep(pollMs)
    }
  }
}

/**
 * PostgreSQL checks of a lock file only that its process id is alive, which after a reboot or in a new container may be
 * anybody. Call under the folder lock and when no postmaster was found; the shared memory of living children still
 * guards the data.
 */
async function removeStaleLocks(cluster: Cluster, socketFolder: string): Promise<void> {
  const file = await readPidFile(cluster.pgdata)
  if (file && (await isPostmaster(cluster, file.processId))) return
  if (file) await removeSocketFolder(file.socketFolder)
  await rm(join(socketFolder, `${socketName}.lock`), { force: true })
  if (file && (await isForeignProcess(cluster, file.processId))) {
    await rm(join(cluster.pgdata, 'postmaster.pid'), { force: true })
  }
}

/**
 * Ends server processes that outlived their postmaster: a query that computes does not notice, and keeps the shared
 * memory for as long as it takes. Done by PostgreSQL's own account, which can see and end its own processes only.
 */
async function endLeftovers({ account, pgdata }: Cluster): Promise<void> {
  const script = `for process in /proc/[0-9]*; do
    [ "$process/cwd" -ef "$1" ] || continue
    read -r name <"$process/comm" && [ "$name" = postgres ] && kill -QUIT "\${process#/proc/}"
  done`
  await runAs(account, '/bin/sh', ['-c', script, 'sh', pgdata])
}

/** As root this opens a file in a folder of a less trusted account: never through a link. */
async function openLog(cluster: Cluster) {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW
  const handle = await open(logFile(cluster), flags, 0o600)
  if (cluster.account) await handle.chown(cluster.account.uid, cluster.account.gid)
  return handle
}

async function readTail(cluster: Cluster): Promise<string> {
  const text = await readFile(logFile(cluster), 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-10).join('\n')
}

function logFile(cluster: Cluster): string {
  return join(cluster.folder, 'postgres.log')
}

function startFailed(cluster: Cluster, said: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    'start_failed',
    `PostgreSQL in ${cluster.folder} did not start: it ${said}\nThe whole log is ${logFile(cluster)}.`,
  )
}

function ignoreMissing(error: unknown): void {
  if (findErrorCode(error) !== 'ENOENT') throw error
}
