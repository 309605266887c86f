import { parseArgs } from 'node:util'
import { toTable } from '../../bench/print-table.ts'
import { moments } from './killed-at.ts'
import { type RoundsReport, runRounds } from './run-rounds.ts'
import { type TargetName, targetNames } from './targets.ts'

const usage = `node tests/reliability/kill-rounds.ts [options]

Kills a service under load again and again, and holds its audit log against what its clients were told. A round: six clients make
changes for a moment, one kill -9, a start, and a check of everything. Ends with status 1, and what is wrong, where it is.

  --target NAME   ${targetNames.join(', ')} (default: api)
                  api: the service; its embedded PostgreSQL is left over, for the next start
                  embedded: every process of that PostgreSQL; the service ends by itself
                  postgres: every process of a PostgreSQL of its own; the service goes on
  --rounds N      (default 200)
  --minutes N     at most (default 30)
  --help`

interface RoundsOptions {
  target: TargetName
  rounds: number
  minutes: number
}

/** Undefined: help was asked for. Throws RangeError or TypeError. */
function parseOptions(args: string[]): RoundsOptions | undefined {
  const { values } = parseArgs({
    args,
    options: {
      target: { type: 'string', default: 'api' },
      rounds: { type: 'string', default: '200' },
      minutes: { type: 'string', default: '30' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const target = targetNames.find((name) => name === values.target)
  if (target === undefined) throw new RangeError(`--target takes ${targetNames.join(', ')}, not ${values.target}.`)
  return { target, rounds: parseCount('rounds', values.rounds), minutes: parseCount('minutes', values.minutes) }
}

function parseCount(name: string, text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text)
  throw new RangeError(`--${name} takes a whole number from 1, not ${text}.`)
}

function describe(report: RoundsReport, target: TargetName): string {
  const metSequencer = moments.map((moment) => `${moment} ${report.moments[moment] ?? 0}`).join(', ')
  const statuses = Object.entries(report.statuses).map(
    ([status, count]) => `${status === '0' ? 'none' : status} ${count}`,
  )
  return toTable(
    ['kill -9', target],
    [
      ['rounds', String(report.rounds)],
      ['seconds', report.seconds.toFixed(0)],
      ['acknowledged changes', String(report.acknowledged)],
      ['refused', String(report.refused)],
      ['unknown to the client', String(report.unknown)],
      ['of these done', String(report.unknownDone)],
      ['events in the log', String(report.events)],
      ['checkpoints stored', String(report.checkpoints)],
      ['checkpoints seen', String(report.seenCheckpoints)],
      ['answers by status', statuses.join(', ')],
      ['sequencer killed when', target === 'api' ? metSequencer : 'not known'],
      ['drafts left', String(report.drafts)],
    ],
  )
}

const options = parseOptions(process.argv.slice(2))
if (options === undefined) console.log(usage)
else {
  const { target, rounds, minutes } = options
  const report = await runRounds({
    target,
    rounds,
    deadline: performance.now() + minutes * 60_000,
    onRound(sofar, moment) {
      const text = `round ${sofar.rounds} of ${rounds}, ${sofar.seconds.toFixed(0)} s: ${sofar.acknowledged} changes`
      console.error(`${text}, ${sofar.events} events${moment === undefined ? '' : `, the sequencer was ${moment}`}`)
    },
  })
  console.log(describe(report, target))
  // Time that ran out is no failure of the log, but not what was asked for either.
  if (report.rounds < rounds) console.log(`Only ${report.rounds} of ${rounds} rounds fit into ${minutes} minutes.`)
}
