import { styleText } from 'node:util'

const WIDTH = 28
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
    const filled = Math.round((WIDTH * done) / count)
    const bar = paint('magenta', '━'.repeat(filled)) + paint('dim', '─'.repeat(WIDTH - filled))
    const frame = paint('magenta', frames[ticks++ % frames.length] ?? '')
    stdout.write(`\r ${frame}  ${bar}  ${title}  ${paint('dim', `${done}/${count}`)}\u001b[K`)
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

function paint(style: 'magenta' | 'dim', text: string): string {
  return styleText(style, text, { stream: process.stdout })
}
