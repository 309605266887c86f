import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { toTable } from '../../bench/print-table.ts'

const usage = `node tests/reliability/forget-rounds.ts [options]

Looks again and again for what is left of an epoch after its grace, in services that had many sessions in it, while the machine has
other work to do. Says what was found where, and ends with status 1 then.

  --layout NAME   whole: one process with its PostgreSQL and files; apart: processes of their own with a Redis; or both (default)
  --rounds N      of each (default 10)
  --sessions N    in each round (default 300)
  --busy N        processes that take a core each meanwhile (default 2)
  --help`

const root = fileURLToPath(new URL('../..', import.meta.url))
const files = { whole: 'tests/integration/forgetting.test.ts', apart: 'tests/integration/forgetting-apart.test.ts' }
type Layout = keyof typeof files

interface ForgetOptions {
  layouts: Layout[]
  rounds: number
  sessions: number
  busy: number
}

/** Undefined: help was asked for. Throws RangeError or TypeError. */
function parseOptions(args: string[]): ForgetOptions | undefined {
  const { values } = parseArgs({
    args,
    options: {
      layout: { type: 'string', default: 'both' },
      rounds: { type: 'string', default: '10' },
      sessions: { type: 'string', default: '300' },
      busy: { type: 'string', default: '2' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const layouts = (Object.keys(files) as Layout[]).filter((name) => values.layout === 'both' || values.layout === name)
  if (layouts.length === 0) throw new RangeError(`--layout takes whole, apart or both, not ${values.layout}.`)
  const count = (name: 'rounds' | 'sessions' | 'busy') => {
    if (/^\d{1,4}$/.test(values[name])) return Number(values[name])
    throw new RangeError(`--${name} takes a whole number, not ${values[name]}.`)
  }
  return { layouts, rounds: count('rounds'), sessions: count('sessions'), busy: count('busy') }
}

/** What the test said, where it failed. */
async function runRound(layout: Layout, { sessions, busy }: ForgetOptions): Promise<string | undefined> {
  const others = Array.from({ length: busy }, () => run(['-e', 'for (;;);']))
  try {
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'integration', files[layout], '-t', 'many']
    const test = run(vitest, { FORGOTTEN_SESSIONS: String(sessions), NO_COLOR: '1' })
    let said = ''
    for (const stream of [test.stdout, test.stderr]) stream?.on('data', (text: Buffer) => (said += text.toString()))
    const [code] = (await once(test, 'close')) as [number | null]
    return code === 0 && /Tests +1 passed/.test(said) ? undefined : said
  } finally {
    for (const other of others) other.kill('SIGKILL')
  }
}

function run(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

const options = parseOptions(process.argv.slice(2))
if (options === undefined) console.log(usage)
else {
  const rows: [string, string][] = []
  const started = performance.now()
  for (const layout of options.layouts) {
    let clean = 0
    for (let round = 1; round <= options.rounds; round++) {
      const failure = await runRound(layout, options)
      if (failure === undefined) clean++
      else console.error(failure)
      const seconds = ((performance.now() - started) / 1000).toFixed(0)
      console.error(`${layout}, round ${round} of ${options.rounds}, ${seconds} s: ${clean} clean`)
    }
    rows.push([`rounds that found nothing, ${layout}`, `${clean} of ${options.rounds}`])
    if (clean < options.rounds) process.exitCode = 1
  }
  rows.push(['sessions a round, at least', String(options.sessions)], ['busy processes', String(options.busy)])
  console.log(toTable(['what is left after the grace', ''], rows))
}
