import { constants } from 'node:os'
import { exitCodes } from '../client/command/exit-codes.ts'
import { parseFlags } from '../client/command/flags.ts'
import { parseCount } from '../client/command/parse-values.ts'
import { reportError } from '../client/command/report-error.ts'
import { serverOptions } from '../client/command/settings.ts'
import { bold } from '../client/command/terminal.ts'
import { createHttpClient } from '../client/http.ts'
import { readServerHealth } from '../client/server-health.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import { type Cast, openCast } from './cast.ts'
import { DEMO_TYPE } from './fleet.ts'
import type { StepResult } from './measure-step.ts'
import { type Shown, show } from './show.ts'
import { showIncidents } from './show-incidents.ts'
import { createStage, type Stage, toFitting, toSummary } from './stage.ts'
import { createStep } from './step.ts'

/** Of one request for tokens. */
const MAX_DEVICES = 500
const DEFAULT_DEVICES = 50
const DEFAULT_URL = 'http://127.0.0.1:8470'
/** What ends the demo early, with the devices revoked all the same. */
const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const usage = `npm run demo -- [--devices N] [--keep] [--url URL]

Shows a small fleet against a running service, which npm start in another terminal is: devices enrol with evidence
of what they booted, exchange and derive keys, and train in three rounds, in which a coordinator has the same keys.
One of them boots other firmware, is quarantined while the others train on, and comes back; one is revoked, one
suspended and resumed; at last the signed log of it all is verified. What the security monitor makes of it is resolved
when it is told, within some seventy seconds: Ctrl-C leaves that to you. Their hardware is played by software, whose
evidence (PSA attestation tokens) is verified like any. It works as the operator whose API token is in
.qflare/admin-token (QFLARE_DATA_DIR), or in the file that QFLARE_ADMIN_TOKEN_FILE names.

  --devices N   how many, 3 to ${MAX_DEVICES}; default ${DEFAULT_DEVICES}
  --keep        leave the devices as they are, instead of revoking them: type ${DEMO_TYPE}
  --url URL     the service (or QFLARE_URL; default http://127.0.0.1:8470)

Exit codes: 0 all went as it should, 1 something did not, 2 wrong command line, 3 no service, 4 no API token.`

const flags = {
  devices: {
    type: 'string',
    value: 'N',
    help: 'how many',
    expects: `a number from 3 to ${MAX_DEVICES}`,
    parse: (text: string) => {
      const count = parseCount(text)
      return count === undefined || count < 3 || count > MAX_DEVICES ? undefined : count
    },
  },
  keep: { type: 'boolean', help: 'leave the devices' },
} as const

async function main(args: string[]): Promise<number> {
  const { values } = parseFlags(flags, args)
  if (values.help === true) {
    console.log(usage)
    return exitCodes.ok
  }
  const server = { ...serverOptions(values), crypto: await choosePrimitives() }
  const health = await readServerHealth(createHttpClient(server))
  if (!health.reachable) {
    console.error(`There is no QFLARE service at ${server.url}.`)
    console.error('npm start, in another terminal, runs one; then npm run demo again. --url names another.')
    return exitCodes.unreachable
  }
  const cast = await openCast(server, values)
  // What is wrong with the token is said before the show.
  await cast.operator.listDevices({ limit: 1 })
  const stage = createStage()
  const start = performance.now()
  const signal = endOnSignals()
  const headline = toFitting(`QFLARE: a fleet meets ${server.url}`).map(bold)
  console.log(`\n${headline.join('\n')}`)
  const devices = values.devices ?? DEFAULT_DEVICES
  const shown = await show(stage, cast, { devices, isKept: values.keep === true, signal })
  const { results } = shown
  stage.say(toSummary(results))
  if (signal.aborted) {
    console.log('Interrupted: this shows nothing.')
    return endedEarly(shown, signal)
  }
  const failed = results.filter(({ problems }) => problems.length > 0)
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  const outcome =
    failed.length === 0
      ? `In ${seconds} s: who is known and well gets keys that both ends have and nobody else; who is not gets none.`
      : `${failed.length} of ${results.length} steps did not go as they should: ${failed.map(({ title }) => title).join(', ')}.`
  console.log(toFitting(outcome).join('\n'))
  if (failed.length === 0) console.log(`\n${whatNext(server.url)}`)
  const isResolved = await resolveIncidents(stage, cast, { ...shown, signal })
  if (signal.aborted && !isResolved) return endedEarly(shown, signal)
  return failed.length === 0 && isResolved ? exitCodes.ok : exitCodes.refused
}

/** After the story, for it waits for the monitor: nobody has to. Whether all went as it should. */
async function resolveIncidents(stage: Stage, cast: Cast, parts: Shown & { signal: AbortSignal }): Promise<boolean> {
  const results: StepResult[] = []
  stage.chapter('What the security monitor makes of it')
  await showIncidents(createStep(stage, results, parts.signal), cast, parts)
  return results.every(({ problems }) => problems.length === 0)
}

/** Says what may be open, and gives the exit code. */
function endedEarly({ provoked }: Shown, { reason }: AbortSignal): number {
  if (provoked.length > 0)
    console.log('Its incidents are yours to resolve: npx --no qflare incidents list --status open')
  // As shells have it.
  return 128 + constants.signals[reason as (typeof endings)[number]]
}

function whatNext(url: string): string {
  const where = url === DEFAULT_URL ? '' : ` --url ${url}`
  return [
    bold('Look at it yourself'),
    ` npx --no qflare incidents list${where}     what the security monitor makes of it`,
    ` npx --no qflare audit events --type device.quarantined${where}`,
    ` ${url}/docs     the API, to read and try`,
  ].join('\n')
}

/** The first signal cleans up; it is the reason. The second ends at once. */
function endOnSignals(): AbortSignal {
  const interruption = new AbortController()
  const end = (name: NodeJS.Signals) => {
    for (const ending of endings) process.off(ending, end)
    // A terminal that hung up takes no more text; the devices are revoked without it.
    if (name === 'SIGHUP') process.stdout.on('error', () => undefined)
    interruption.abort(name)
  }
  for (const ending of endings) process.on(ending, end)
  return interruption.signal
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.exitCode = reportError(error, false)
}
