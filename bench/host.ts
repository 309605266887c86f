import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os'
import type { Host } from './result.ts'

/** Describes the machine a figure was measured on, for the results file. */
export function describeHost(postgres: string | null): Host {
  return {
    cpuModel: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    kernel: `${type()} ${release()}`,
    node: process.versions.node,
    openssl: process.versions.openssl,
    postgres,
    commit: askGit('rev-parse', '--short=12', 'HEAD'),
    changed: (askGit('status', '--porcelain', '--untracked-files=no') ?? '') !== '',
    loadAverage: loadavg().map((load) => Math.round(load * 100) / 100),
  }
}

function askGit(...args: string[]): string | null {
  try {
    return execFileSync('git', args, {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    // no git, or no repository
    return null
  }
}
