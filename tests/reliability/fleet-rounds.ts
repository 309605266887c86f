import { parseArgs } from 'node:util'
import { toTable } from '../../bench/print-table.ts'
import { runFleet } from './run-fleet.ts'

const usage = `node tests/reliability/fleet-rounds.ts [options]

Two APIs, two workers and two sequencers on one PostgreSQL and two Redis. While devices exchange, every process is restarted and killed
in turn, either Redis flushed and killed, PostgreSQL restarted and killed. Ends with status 1, and what is wrong, where an exchange
is not mended by retries, a bucket had no key, or an event is missing. Needs redis-server.

  --rounds N      of all these faults (default 5)
  --minutes N     at most (default 30)
  --help`

function parseCount(name: string, text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text)
  throw new RangeError(`--${name} takes a whole number from 1, not ${text}.`)
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    minutes: { type: 'string', default: '30' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) console.log(usage)
else {
  const report = await runFleet({
    rounds: parseCount('rounds', values.rounds),
    deadline: performance.now() + parseCount('minutes', values.minutes) * 60_000,
    onFault: (name, settledMs) =>
      console.error(`${name}: every device exchanged again after ${settledMs.toFixed(0)} ms`),
  })
  const { failures, settledMs, sessionIds: _, ...counts } = report
  console.log(
    toTable(
      ['fleet', ''],
      [
        ...Object.entries(counts).map(([name, count]) => [name, count.toFixed(0)]),
        ...Object.entries(failures).map(([code, count]) => [`failed: ${code}`, String(count)]),
        ...Object.entries(settledMs).map(([name, ms]) => [`after ${name}, ms`, ms.toFixed(0)]),
      ],
    ),
  )
}
