/**
 * The same chunks; `tooSlow` is called when the next one is not asked for within `slowMs`: what is behind a stream, a place and a page in
 * memory, is for others too. Whoever goes away is told of at once, whatever is waited for.
 */
export function boundSlowReading<T>(chunks: AsyncIterable<T>, slowMs: number, tooSlow: () => void): AsyncIterable<T> {
  const iterator = chunks[Symbol.asyncIterator]()
  let timer: ReturnType<typeof setTimeout> | undefined
  let isOver = false
  const bounded: AsyncIterator<T> = {
    async next() {
      clearTimeout(timer)
      const result = await iterator.next()
      isOver ||= result.done === true
      if (!isOver) timer = setTimeout(tooSlow, slowMs).unref()
      return result
    },
    async return() {
      isOver = true
      clearTimeout(timer)
      return (await iterator.return?.()) ?? { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => bounded }
}
