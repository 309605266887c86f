import { styleText } from 'node:util'

/** Width of a help text on a screen that is wider, or that is none. */
const READING_WIDTH = 100

/** Of the screen behind stdout; undefined when it is a file or a pipe, whose lines are never cut. */
export function screenWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns : undefined
}

export function readingWidth(): number {
  return Math.min(screenWidth() ?? READING_WIDTH, READING_WIDTH)
}

/** Bold on a terminal; as it is elsewhere and where NO_COLOR says so. */
export function bold(text: string): string {
  return styleText('bold', text, { stream: process.stdout })
}

/** Lines of at most `width` characters, broken at spaces; a longer word stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
