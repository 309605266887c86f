import { styleText } from 'node:util'
import { cutToWidth } from '../client/command/display-width.ts'
import { screenWidth } from '../client/command/terminal.ts'

const WIDTH = 28
/** Below that it says nothing. */
const LEAST_WIDTH = 4
/** Of the sign before the bar, the spaces between, and the last column, in which some terminals break the line. */
const AROUND = 7
const EVERY_MS = 80
const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const hideCursor = '\u001b[?25l'
const showCursor = '\u001b[?25h'
const clearLine = '\r\u001b[K'

/**
 * A bar on the last line of the terminal; `stop` takes it away. It leaves the keyboard alone, so that ctrl-C is what it is
 * everywhere.
 */
export function startBar(title: string, count: number): { advance(): void; stop(): void } {
  const { stdout } = process
  let done = 0
  let ticks = 0
  const draw = () => {
    const { filled, empty, label, counted } = layOutBar({ title, done, count, columns: screenWidth() ?? 80 })
    const bar = paint('magenta', '━'.repeat(filled)) + paint('dim', '─'.repeat(empty))
    const frame = paint('magenta', frames[ticks++ % frames.length] ?? '')
    const parts = [frame, ...(filled + empty > 0 ? [bar] : []), label, paint('dim', counted)]
    stdout.write(`\r ${parts.join('  ')}\u001b[K`)
  }
  stdout.write(hideCursor)
  draw()
  const timer = setInterval(draw, EVERY_MS)
  return {
    advance() {
      done++
    },
    stop() {
      clearInterval(timer)
      stdout.write(`${clearLine}${showCursor}`)
    },
  }
}

/** What of a bar fits on one line: on a narrow screen it becomes shorter, then goes, then the title is cut. */
export function layOutBar(shown: { title: string; done: number; count: number; columns: number }): {
  filled: number
  empty: number
  label: string
  counted: string
} {
  const { title, done, count, columns } = shown
  const counted = `${done}/${count}`
  const room = columns - AROUND - title.length - counted.length - 2
  const width = room < LEAST_WIDTH ? 0 : Math.min(WIDTH, room)
  const filled = Math.round((width * done) / count)
  if (width > 0) return { filled, empty: width - filled, label: title, counted }
  const label = cutToWidth(title, Math.max(1, columns - AROUND - counted.length))
  return { filled: 0, empty: 0, label, counted }
}

function paint(style: 'magenta' | 'dim', text: string): string {
  return styleText(style, text, { stream: process.stdout })
}
