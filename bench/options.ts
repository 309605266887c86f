import { parseArgs } from 'node:util'

export const parts = [
  'crypto',
  'attestation',
  'reattestation',
  'lookups',
  'memory',
  'scale',
  'exchange',
  'audit',
  'monitor',
  'rounds',
  'jobs',
  'rotation',
  'pruning',
  'flood',
] as const
export type Part = (typeof parts)[number]

export interface BenchOptions {
  only: readonly Part[]
  /** Of the part `exchange`, turn by turn with handshakes. */
  rounds: number
  exchanges: number
  handshakes: number
  memoryExchanges: number
  scaleExchanges: number
  /** Registered devices or sessions, ascending; the first is what the others are compared with. */
  sizes: readonly number[]
  /** Of the audit log that proofs are measured on. */
  auditEntries: number
  /** Members of the federation whose keys are asked for, in one call. */
  roundDevices: number
  /** That do nothing, on each backend of the queues. */
  jobs: number
  out: string | undefined
}

export const usage = `npm run bench -- [options]

Measures QFLARE against a service of its own, in a few minutes, and prints a table. bench/README.md says what each
figure means. CPU milliseconds and ratios within a run count; times of day depend on what else the machine does.

  --only PARTS             of ${parts.join(',')} (default: all)
  --rounds N               of the exchange, turn by turn with handshakes (default 5)
  --exchanges N            in a round (default 1000)
  --handshakes N           in a round (default 500)
  --memory-exchanges N     between the two looks at the memory (default 20000)
  --scale-exchanges N      at each number of devices (default 1000)
  --sizes N,N,…            registered devices or sessions, ascending (default 1000,100000,1000000)
  --audit-entries N        of the audit log that proofs are measured on (default 1000000)
  --round-devices N        members of the federation whose keys are asked for (default 10000)
  --jobs N                 that do nothing, on each backend of the queues (default 5000)
  --out FILE               writes the result as JSON (kept ones: bench/results/<date>-<name>.json)
  --help

npm run bench:compare -- A.json B.json [--out FILE]   compares two results, in a page and in the terminal`

/** Undefined: help was asked for. Throws RangeError or TypeError on what cannot be measured. */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', default: parts.join(',') },
      rounds: { type: 'string', default: '5' },
      exchanges: { type: 'string', default: '1000' },
      handshakes: { type: 'string', default: '500' },
      'memory-exchanges': { type: 'string', default: '20000' },
      'scale-exchanges': { type: 'string', default: '1000' },
      sizes: { type: 'string', default: '1000,100000,1000000' },
      'audit-entries': { type: 'string', default: '1000000' },
      'round-devices': { type: 'string', default: '10000' },
      jobs: { type: 'string', default: '5000' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  return {
    only: values.only.split(',').map(parsePart),
    rounds: parseCount('rounds', values.rounds),
    exchanges: parseCount('exchanges', values.exchanges),
    handshakes: parseCount('handshakes', values.handshakes),
    memoryExchanges: parseCount('memory-exchanges', values['memory-exchanges']),
    scaleExchanges: parseCount('scale-exchanges', values['scale-exchanges']),
    sizes: parseSizes(values.sizes),
    auditEntries: parseCount('audit-entries', values['audit-entries']),
    roundDevices: parseCount('round-devices', values['round-devices']),
    jobs: parseCount('jobs', values.jobs),
    out: values.out,
  }
}

function parsePart(text: string): Part {
  const part = parts.find((candidate) => candidate === text)
  if (part === undefined) throw new RangeError(`--only takes ${parts.join(',')}, not ${text}.`)
  return part
}

function parseSizes(text: string): number[] {
  const sizes = text.split(',').map((size) => parseCount('sizes', size))
  if (sizes.every((size, i) => i === 0 || size > (sizes[i - 1] as number))) return sizes
  throw new RangeError('--sizes takes ascending numbers: devices are added, never taken away.')
}

function parseCount(name: string, text: string): number {
  if (/^[1-9]\d{0,7}$/.test(text)) return Number(text)
  throw new RangeError(`--${name} takes a whole number from 1, not ${text}.`)
}
