import { styleText } from 'node:util'
import { printable } from '../client/command/print.ts'
import { bold } from '../client/command/terminal.ts'
import { startBar } from './bar.ts'
import { percentile, type StepResult } from './measure-step.ts'

/** Where the demo is shown: a terminal that moves, or plain lines for a file, a pipe and CI. */
export interface Stage {
  say(text: string): void
  /** One step: shows how far it is; `end` says what it showed. */
  step(title: string, count: number): { advance(): void; end(result: StepResult, shown: string): void }
}

export function createStage(): Stage {
  const say = (text: string) => console.log(`\n${text}\n`)
  if (!process.stdout.isTTY) {
    return {
      say,
      step: () => ({ advance: () => undefined, end: (result, shown) => sayEnd(result, shown, ['ok  ', 'FAIL']) }),
    }
  }
  return {
    say,
    step(title, count) {
      const bar = startBar(title, count)
      return {
        advance: bar.advance,
        end(result, shown) {
          bar.stop()
          sayEnd(result, shown, [` ${paint('green', '✔')}`, ` ${paint('red', '✘')}`])
        },
      }
    },
  }
}

function sayEnd({ title, count, problems }: StepResult, shown: string, [good, bad]: readonly [string, string]): void {
  if (problems.length === 0) console.log(`${good}  ${shown}`)
  else {
    const what = `${title}: ${problems.length} of ${count} did not go as they should: ${problems[0] ?? ''}`
    console.log(`${bad}  ${printable(what)}`)
  }
}

/** Steps, counts, times and results, under each other. */
export function toSummary(results: readonly StepResult[]): string {
  const rows = results.map(({ title, count, timesMs, problems }) => [
    title,
    String(count),
    formatMs(percentile(timesMs, 0.5)),
    formatMs(percentile(timesMs, 0.95)),
    // The last column is not padded, so that it may have a colour.
    problems.length === 0 ? paint('green', 'ok') : paint('red', `${problems.length} failed`),
  ])
  const lines = [['STEP', 'COUNT', 'P50 MS', 'P95 MS', 'RESULT'], ...rows]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const [title = '', ...texts] = lines.map(([step = '', count = '', p50 = '', p95 = '', result = '']) => {
    const numbers = [count, p50, p95].map((text, index) => text.padStart(widths[index + 1] ?? 0))
    return [` ${step.padEnd(widths[0] ?? 0)}`, ...numbers, result].join('   ')
  })
  return [bold(title), ...texts].join('\n')
}

function formatMs(ms: number): string {
  return Number.isNaN(ms) ? '–' : ms.toFixed(1)
}

function paint(color: 'green' | 'red', text: string): string {
  return styleText(color, text, { stream: process.stdout })
}
