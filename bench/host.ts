import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os'

export type Host = {
  cpuModel: string
  cores: number
  memoryGiB: number
  node: string
  openssl: string
  kernel: string
  /** Over 1, 5 and 15 minutes, at the time of the call. */
  loadAverage: number[]
}

/** Describes the machine a figure was measured on, for the results file. */
export function describeHost(): Host {
  return {
    cpuModel: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    node: process.versions.node,
    openssl: process.versions.openssl,
    kernel: `${type()} ${release()}`,
    loadAverage: loadavg().map((load) => Math.round(load * 100) / 100),
  }
}
