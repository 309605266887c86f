import { setTimeout as sleep } from 'node:timers/promises'
import { usageError } from '../client/command/exit-codes.ts'
import { printable, printResult } from '../client/command/print.ts'
import { readVersion } from '../runtime/release.ts'
import { catchSignals } from './catch-signals.ts'
import { defineOperation } from './define-operation.ts'
import { findOlderProcesses, listAddresses, type OlderProcess } from './older-processes.ts'

const AGAIN_MS = 2_000
/** Who did not answer in one look, because it was busy, does in the next. */
const CALM_LOOKS = 2

export const releaseWait = defineOperation({
  name: 'release wait',
  positionals: ['ADDRESS'],
  summary: 'Waits until no process behind a name is of an older release than this command.',
  flags: {},
  examples: ['qflare release wait http://qflare-worker-operator:9464'],
  notes:
    'ADDRESS is that of operator ports: each address that its name has is asked for its version. Who does not answer is not waited for, so that a role that is down keeps no other from starting. It is what the chart for Kubernetes starts sequencers and APIs after: the workers first (docs/operations.md, Upgrade).',
  async run({ values, positionals: [text = ''] }) {
    const address = parseAddress(text)
    const version = readVersion()
    using interruption = catchSignals()
    await waitUntilNoneIsOlder(address, version, interruption.signal)
    await printResult(values.json, { address: text, version }, `Nobody at ${text} is of a release before ${version}.`)
    return undefined
  },
})

async function waitUntilNoneIsOlder(address: URL, version: string, signal: AbortSignal): Promise<void> {
  let said = ''
  for (let calm = 0; ; ) {
    signal.throwIfAborted()
    const found = await look(address, version)
    calm = found === '' ? calm + 1 : 0
    if (calm === CALM_LOOKS) return
    if (found !== '' && found !== said) console.error(found)
    said = found
    await sleep(AGAIN_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

/** What is waited for; empty for nobody. */
async function look({ hostname, port }: URL, version: string): Promise<string> {
  try {
    const older = await findOlderProcesses(await listAddresses(hostname), { port: port || '80', version })
    return older.length === 0 ? '' : `Waits for ${older.map(toText).join(', ')} to be replaced by ${version}.`
  } catch (error) {
    return `Waits for the name ${hostname}, which cannot be looked up: ${(error as Error).message}.`
  }
}

function toText({ address, version }: OlderProcess): string {
  return `${address} (${printable(version)})`
}

/** Plain HTTP, as operator ports are. */
function parseAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'http:' && url.pathname === '/' && url.search === '') return url
  throw usageError('ADDRESS is that of an operator port: http://NAME:PORT.')
}
