import { resolve } from 'node:path'
import { usageError } from '../client/command/exit-codes.ts'
import { lockFile } from '../client/command/file-lock.ts'
import { printResult } from '../client/command/print.ts'
import { formatVerifierKey } from '../protocol/log/verifier-key.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { createLogger } from '../runtime/logger.ts'
import { readSmallFile } from '../runtime/read-small-file.ts'
import { type FollowedLogs, listKeysOfFile, parseFollowedLogs } from '../witness/followed-logs.ts'
import { startWitness } from '../witness/start-witness.ts'
import { openWitnessKey } from '../witness/witness-key.ts'
import { catchSignals } from './catch-signals.ts'
import { defineOperation } from './define-operation.ts'
import { requireOwnFolder } from './require-own-folder.ts'

const MAX_LOGS_BYTES = 4 << 20

export const witness = defineOperation({
  name: 'witness',
  summary:
    'Runs a witness (C2SP tlog-witness): it cosigns the checkpoints of logs that only grow, until it is stopped.',
  flags: {
    name: {
      type: 'string',
      value: 'NAME',
      help: 'what it signs as: a URL without https://, such as witness.example/w1',
    },
    'data-dir': { type: 'string', value: 'FOLDER', help: 'its key and what it cosigned; made with mode 0700' },
    log: { type: 'string', value: 'VKEY', help: 'the verifier key of a log to follow', multiple: true },
    logs: { type: 'string', value: 'FILE', help: 'the same from a file, one a line; # begins a comment' },
    host: { type: 'string', value: 'HOST', help: 'where it listens, in plain HTTP', default: '127.0.0.1' },
    port: {
      type: 'string',
      value: 'PORT',
      help: 'its port; 0 takes a free one',
      default: '8475',
      parse: parsePort,
      expects: 'a number from 0 to 65535',
    },
    'show-key': { type: 'boolean', help: 'print its verifier key, made where there is none yet, and end' },
  },
  examples: [
    'qflare witness --name witness.example/w1 --data-dir /srv/witness --show-key',
    'qflare witness --name witness.example/w1 --data-dir /srv/witness --logs logs.txt',
  ],
  notes:
    'It prints its verifier key and its URL, and writes its log to stderr. Other machines reach it through a proxy that ends TLS. A log may have several keys: one of each algorithm that is given for it has to have signed. The folder belongs to one witness, and is never brought back from a backup: docs/witness.md says why.',
  async run({ values }) {
    const { name, 'data-dir': folder } = values
    if (name === undefined) throw usageError('--name NAME is what the witness signs as.')
    if (folder === undefined) throw usageError('--data-dir FOLDER is where it keeps its key and what it cosigned.')
    const place = resolve(folder)
    await requireOwnFolder(place)
    const crypto = await choosePrimitives()
    if (values['show-key'] === true) {
      const { verifier } = await openWitnessKey(crypto, place, name)
      const vkey = formatVerifierKey(verifier)
      await printResult(values.json, { vkey }, vkey)
      return undefined
    }
    const logs = await readLogs(crypto, values.log ?? [], values.logs)
    if (logs.size === 0) throw usageError('--log VKEY or --logs FILE names a log to follow.')
    await serve({ crypto, name, folder: place, host: values.host, port: values.port, logs }, values.json)
    return undefined
  },
})

function parsePort(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined
}

async function readLogs(crypto: Primitives, flags: readonly string[], file: string | undefined): Promise<FollowedLogs> {
  const given = flags.map((vkey) => ({ where: '--log', vkey }))
  if (file === undefined) return parseFollowedLogs(crypto, given)
  const { content } = await readSmallFile(file, { maxBytes: MAX_LOGS_BYTES, followsLinks: true })
  return parseFollowedLogs(crypto, [...given, ...listKeysOfFile(file, content.toString('utf8'))])
}

/** Until a signal comes. */
async function serve(
  settings: Pick<Parameters<typeof startWitness>[0], 'crypto' | 'name' | 'folder' | 'host' | 'port' | 'logs'>,
  json: boolean | undefined,
): Promise<void> {
  using interruption = catchSignals()
  // Who no longer reads the log does not end the witness.
  process.stderr.on('error', () => {})
  const logger = createLogger('info', process.stderr)
  const running = await startWitness({ ...settings, now: Date.now, logger, lockFile })
  try {
    const { vkey, url } = running
    await printResult(json, { vkey, url }, `${vkey}\n${url}`)
    await aborted(interruption.signal)
  } finally {
    await running.close()
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done()
    else signal.addEventListener('abort', () => done(), { once: true })
  })
}
