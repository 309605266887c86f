import { styleText } from 'node:util'
import { cutToWidth } from '../client/command/display-width.ts'
import { printable } from '../client/command/print.ts'
import { bold, readingWidth, screenWidth, wrap } from '../client/command/terminal.ts'
import { startBar } from './bar.ts'
import { percentile, type StepResult } from './measure-step.ts'

/** Where the demo is shown: a terminal that moves, or plain lines for a file, a pipe and CI. */
export interface Stage {
  say(text: string): void
  /** Stands over the steps that follow, if any do. */
  chapter(title: string): void
  /** One step: shows how far it is; `end` says what it showed, in one line or more. */
  step(title: string, count: number): { advance(): void; end(result: StepResult, shown: string): void }
}

export function createStage(): Stage {
  let chapter: string | undefined
  const beginStep = () => {
    if (chapter !== undefined) console.log(`\n${bold(chapter)}`)
    chapter = undefined
  }
  const common = {
    say: (text: string) => console.log(`\n${text}\n`),
    chapter(title: string) {
      chapter = title
    },
  }
  if (!process.stdout.isTTY) {
    return {
      ...common,
      step() {
        beginStep()
        return { advance: () => undefined, end: (result, shown) => sayEnd(result, shown, ['ok    ', 'FAIL  ']) }
      },
    }
  }
  return {
    ...common,
    step(title, count) {
      beginStep()
      const bar = startBar(title, count)
      return {
        advance: bar.advance,
        end(result, shown) {
          bar.stop()
          sayEnd(result, shown, [` ${paint('green', '✔')}  `, ` ${paint('red', '✘')}  `])
        },
      }
    },
  }
}

function sayEnd({ title, count, problems }: StepResult, shown: string, [good, bad]: readonly [string, string]): void {
  const what = `${title}: ${problems.length} of ${count} did not go as they should: ${problems[0] ?? ''}`
  const lines = problems.length === 0 ? shown.split('\n') : [printable(what)]
  const margin = screenWidth() === undefined ? '      ' : '    '
  const fitting = lines.flatMap((line) => toFitting(line, margin.length))
  const mark = problems.length === 0 ? good : bad
  console.log(fitting.map((line, index) => (index === 0 ? mark : margin) + line).join('\n'))
}

const headings = ['STEP', 'COUNT', 'P50 MS', 'P95 MS', 'RESULT'] as const

/** The text in lines that the screen has room for behind a margin. Of a file or a pipe no line is broken. */
export function toFitting(text: string, margin = 0): string[] {
  if (screenWidth() === undefined) return [text]
  return wrap(text, Math.max(LEAST_WIDTH, readingWidth() - margin - 1))
}

/** Narrower than that nothing can be read. */
const LEAST_WIDTH = 10

/** Steps, counts, times and results, under each other; without the times where there is no room for them. */
export function toSummary(results: readonly StepResult[], columns = screenWidth()): string {
  const rows = results.map(({ title, count, timesMs, problems }) => [
    title,
    String(count),
    formatMs(percentile(timesMs, 0.5)),
    formatMs(percentile(timesMs, 0.95)),
    problems.length === 0 ? 'ok' : `${problems.length} failed`,
  ])
  const table = [[...headings], ...rows]
  const whole = toLines(table)
  const fits = columns === undefined || whole.every((line) => line.length < columns)
  const [title = '', ...lines] = fits ? whole : toLines(table.map((cells) => toNarrow(cells, columns)))
  // Colours last: they have no width.
  const painted = lines.map((line, index) => {
    const color = results[index]?.problems.length === 0 ? 'green' : 'red'
    return line.replace(/ (ok|\d+ failed)$/, (result) => ` ${paint(color, result.slice(1))}`)
  })
  return [bold(title), ...painted].join('\n')
}

/** Without the times, and with a title of what room is left. */
function toNarrow([title = '', count = '', , , result = '']: readonly string[], columns: number): string[] {
  return [cutToWidth(title, Math.max(LEAST_WIDTH, columns - BESIDE_TITLE)), count, result]
}

/** Of two columns and what is between all of them. */
const BESIDE_TITLE = 22

/** The first column to the left, the last as it is, those between to the right. */
function toLines(table: readonly string[][]): string[] {
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0)))
  return table.map((cells) => {
    const padded = cells.map((cell, column) => {
      if (column === cells.length - 1) return cell
      return column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)
    })
    return ` ${padded.join('   ')}`
  })
}

function formatMs(ms: number): string {
  return Number.isNaN(ms) ? '–' : ms.toFixed(1)
}

function paint(color: 'green' | 'red', text: string): string {
  return styleText(color, text, { stream: process.stdout })
}
