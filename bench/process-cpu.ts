import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

// CPU time of other processes, from Linux's /proc: proc_pid_stat(5), Documentation/scheduler/sched-stats.rst.

type ProcessTimes = { parentPid: number; ownMs: number; reapedMs: number }

const SNAPSHOT_ATTEMPTS = 5

/**
 * The CPU milliseconds, user and system, that the process has spent since its start; with `includeChildren` also those
 * of its live descendants and of the children they waited for (a PostgreSQL postmaster with its backends).
 * Exact to 20 ms, and far better while no thread has ended. Throws when there is no such process.
 */
export function readCpuMs(pid: number, includeChildren = false): number {
  return readTotalMs([pid], includeChildren)
}

/**
 * Starts to count the CPU milliseconds of the processes together, each process once even when one of `pids` descends
 * from another; what is returned gives the milliseconds spent until now. It throws when one of `pids` has gone.
 */
export function startCpuMeter(pids: readonly number[], includeChildren = false): () => number {
  const atStartMs = readTotalMs(pids, includeChildren)
  return () => readTotalMs(pids, includeChildren) - atStartMs
}

function readTotalMs(pids: readonly number[], includeChildren: boolean): number {
  if (!includeChildren) return sum([...new Set(pids)].map((pid) => getTimes(pid).ownMs))
  let times = readTrees(pids)
  // A child that ends between two reads would count twice or not at all: read until two snapshots hold the same ones.
  for (let attempt = 1; attempt < SNAPSHOT_ATTEMPTS; attempt++) {
    const before = times
    times = readTrees(pids)
    if (before.size === times.size && [...times].every(([pid, t]) => before.get(pid)?.reapedMs === t.reapedMs)) break
  }
  return sum([...times.values()].map((process) => process.ownMs + process.reapedMs))
}

function readTrees(pids: readonly number[]): Map<number, ProcessTimes> {
  const all = new Map<number, ProcessTimes>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const times = findTimes(Number(entry))
    if (times !== undefined) all.set(Number(entry), times)
  }
  const childrenOf = Map.groupBy(all.keys(), (pid) => all.get(pid)?.parentPid)
  const found = new Map<number, ProcessTimes>()
  const queue = [...pids]
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    if (found.has(pid)) continue
    found.set(pid, all.get(pid) ?? getTimes(pid))
    queue.push(...(childrenOf.get(pid) ?? []))
  }
  return found
}

function getTimes(pid: number): ProcessTimes {
  const times = findTimes(pid)
  if (times === undefined) throw new Error(`there is no process ${pid}`)
  return times
}

function findTimes(pid: number): ProcessTimes | undefined {
  const stat = findFile(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  // The second field, the name in parentheses, may hold anything; those after it are numbered from 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const field = (number: number): number => Number(fields[number - 3])
  return {
    parentPid: field(4),
    // The ticks are rounded down but know the threads that have ended; the nanoseconds know only the live ones.
    ownMs: Math.max(toMs(field(14) + field(15)), readLiveThreadsMs(pid)),
    reapedMs: toMs(field(16) + field(17)),
  }
}

/** 0 where the kernel keeps no scheduler statistics. */
function readLiveThreadsMs(pid: number): number {
  let threads: string[]
  try {
    threads = readdirSync(`/proc/${pid}/task`)
  } catch {
    return 0
  }
  const nanoseconds = threads.map((id) => Number(findFile(`/proc/${pid}/task/${id}/schedstat`)?.split(' ')[0] ?? 0))
  return sum(nanoseconds) / 1e6
}

/** Undefined when the process or thread has ended, or is another user's and hidden. */
function findFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return undefined
  }
}

let ticksPerSecond: number | undefined

function toMs(ticks: number): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  return (ticks * 1000) / ticksPerSecond
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
