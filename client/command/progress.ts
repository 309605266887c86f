const FIRST_AFTER_MS = 1000
const EVERY_MS = 100
const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']

/**
 * Says on stderr, when that is a terminal and `work` takes more than a second, how far it is; the line is gone at the end.
 * `work` reports in words: `1,200 of 5,000 tokens`.
 */
export async function withProgress<T>(work: (report: (text: string) => void) => Promise<T>): Promise<T> {
  const { stderr } = process
  if (!stderr.isTTY) return work(() => undefined)
  let text = 'working'
  let ticks = 0
  const show = () => stderr.write(`\r${frames[ticks++ % frames.length]} ${text}\u001b[K`)
  let timer = setTimeout(() => {
    show()
    timer = setInterval(show, EVERY_MS)
  }, FIRST_AFTER_MS)
  try {
    return await work((next) => {
      text = next
    })
  } finally {
    clearTimeout(timer)
    if (ticks > 0) stderr.write('\r\u001b[K')
  }
}
