import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { formatVerifierKey } from '../protocol/log/verifier-key.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { Logger } from '../runtime/logger.ts'
import { createWitness } from './create-witness.ts'
import type { FollowedLogs } from './followed-logs.ts'
import { openLogStates } from './log-states.ts'
import { serveWitness } from './serve-witness.ts'
import { WitnessError } from './witness-error.ts'
import { openWitnessKey } from './witness-key.ts'

export interface WitnessOptions {
  crypto: Primitives
  /** What its cosignatures are signed as: a URL without a scheme, such as `witness.example/w1`. */
  name: string
  logs: FollowedLogs
  /** Its key and what it cosigned. No other witness works in it. */
  folder: string
  host: string
  /** 0 takes a free one. */
  port: number
  /** Milliseconds since the Unix epoch. */
  now: () => number
  logger: Logger
  /** The lock of a file between processes, which ends with this one; undefined when another has it. */
  lockFile(path: string): Promise<{ release(): void } | undefined>
}

export interface RunningWitness {
  vkey: string
  url: string
  /** Requests under way are answered first. */
  close(): Promise<void>
}

/** Throws WitnessError, and ConfigError where others may read the key. */
export async function startWitness(options: WitnessOptions): Promise<RunningWitness> {
  const { crypto, name, logs, folder, host, port, now, logger } = options
  if (logs.has(name)) {
    throw new WitnessError('configuration_invalid', `${name} is the name of a log: a witness has a name of its own.`)
  }
  await using opened = new AsyncDisposableStack()
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const lock = await options.lockFile(join(folder, 'witness.lock'))
  if (lock === undefined) {
    throw new WitnessError('in_use', `Another witness works in ${folder}: a witness has a folder of its own.`)
  }
  opened.defer(() => lock.release())
  const key = await openWitnessKey(crypto, folder, name)
  const states = await openLogStates(folder)
  const witness = await createWitness({ crypto, key, logs, states, now, logger })
  const vkey = formatVerifierKey(key.verifier)
  const about = `QFLARE witness (c2sp.org/tlog-witness), verifier key ${vkey}`
  const server = await serveWitness(witness, { host, port, about, logger })
  opened.defer(() => server.close())
  const parts = opened.move()
  return { vkey, url: server.url, close: () => parts.disposeAsync() }
}
