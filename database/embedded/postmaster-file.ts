import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runAs } from './account.ts'
import type { Cluster } from './cluster.ts'
import { findErrorCode } from './error.ts'
import { readSmallFile } from './read-small-file.ts'

/** A running PostgreSQL server of ours. */
export interface Postmaster {
  readonly processId: number
  readonly socketFolder: string
  /** program and arguments, joined by spaces */
  readonly commandLine: string
}

interface PidFile {
  readonly processId: number
  readonly socketFolder: string
  readonly status: string
}

/** The postmaster of this cluster that is alive, whoever started it. */
export async function findPostmaster(cluster: Cluster): Promise<Postmaster | undefined> {
  const file = await readPidFile(cluster.pgdata)
  if (!file) return undefined
  const running = await findProcess(file.processId)
  if (!running || !servesCluster(running, cluster)) return undefined
  return { processId: file.processId, socketFolder: file.socketFolder, commandLine: running.commandLine }
}

/** Process ids are reused: this one may be somebody else's by now. */
export async function isPostmaster(cluster: Cluster, processId: number): Promise<boolean> {
  const running = await findProcess(processId)
  return running !== undefined && servesCluster(running, cluster)
}

export async function isForeignProcess(cluster: Cluster, processId: number): Promise<boolean> {
  const running = await findProcess(processId)
  return running !== undefined && !servesCluster(running, cluster)
}

/** Lines of postmaster.pid: id, data folder, start time, port, socket folder, address, shared memory, status. */
export async function readPidFile(pgdata: string): Promise<PidFile | undefined> {
  const text = await readSmallFile(join(pgdata, 'postmaster.pid')).catch((error: unknown) => {
    if (findErrorCode(error) === 'ENOENT') return ''
    throw error
  })
  const lines = text.split('\n').map((line) => line.trim())
  const processId = Number(lines[0])
  if (!Number.isSafeInteger(processId) || processId <= 1) return undefined
  return { processId, socketFolder: lines[4] ?? '', status: lines[7] ?? '' }
}

interface RunningProcess {
  readonly commandLine: string
  readonly uid: number
}

/** The account counts too: whoever owns the data could write any process id into the file for root to stop. */
function servesCluster(running: RunningProcess, { pgdata, account }: Cluster): boolean {
  return running.commandLine.includes(` -D ${pgdata} -k `) && running.uid === (account?.uid ?? process.getuid?.())
}

/** A zombie has an empty command line, so that it is never taken for a server. */
async function findProcess(processId: number): Promise<RunningProcess | undefined> {
  if (process.platform !== 'linux') return findProcessWithPs(processId)
  try {
    const folder = `/proc/${processId}`
    const [commandLine, status] = await Promise.all([
      readFile(join(folder, 'cmdline'), 'utf8'),
      readFile(join(folder, 'status'), 'utf8'),
    ])
    const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1])
    return { commandLine: commandLine.replaceAll('\0', ' ').trim(), uid }
  } catch (error) {
    // ESRCH: it ended while we read
    if (findErrorCode(error) === 'ENOENT' || findErrorCode(error) === 'ESRCH') return undefined
    throw error
  }
}

async function findProcessWithPs(processId: number): Promise<RunningProcess | undefined> {
  const { succeeded, output } = await runAs(undefined, '/bin/ps', ['-ww', '-o', 'uid=,command=', '-p', `${processId}`])
  const [, uid, commandLine] = /^\s*(\d+)\s+(.*)/.exec(output) ?? []
  return succeeded && uid && commandLine ? { commandLine: commandLine.trim(), uid: Number(uid) } : undefined
}
