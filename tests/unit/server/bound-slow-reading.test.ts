import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { boundSlowReading } from '../../../server/services/bound-slow-reading.ts'

const SLOW_MS = 300_000

describe('a stream', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  /** `go`: the next chunk is there. */
  function createStream() {
    const tooSlow = vi.fn()
    const returned = vi.fn()
    let waiting = Promise.withResolvers<IteratorResult<string>>()
    const iterator: AsyncIterator<string> = {
      next: () => waiting.promise,
      async return() {
        returned()
        return { done: true, value: undefined }
      },
    }
    const bounded = boundSlowReading({ [Symbol.asyncIterator]: () => iterator }, SLOW_MS, tooSlow)[
      Symbol.asyncIterator
    ]()
    const go = (result: IteratorResult<string>) => {
      waiting.resolve(result)
      waiting = Promise.withResolvers()
    }
    return { bounded, go, tooSlow, returned }
  }
  const chunk = { done: false, value: 'chunk' } as const

  it('whose reader takes each piece in time goes on, however long it takes and however long nothing comes', async () => {
    const { bounded, go, tooSlow } = createStream()
    for (let i = 0; i < 3; i++) {
      const next = bounded.next()
      await vi.advanceTimersByTimeAsync(2 * SLOW_MS)
      go(chunk)
      expect(await next).toEqual(chunk)
      await vi.advanceTimersByTimeAsync(SLOW_MS - 1)
    }
    expect(tooSlow).not.toHaveBeenCalled()
  })

  it('whose reader does not come for the next piece is cut off', async () => {
    const { bounded, go, tooSlow } = createStream()
    const next = bounded.next()
    go(chunk)
    await next
    await vi.advanceTimersByTimeAsync(SLOW_MS)
    expect(tooSlow).toHaveBeenCalledOnce()
  })

  it('that is over leaves nothing behind: read to its end, or left while a piece is waited for', async () => {
    const read = createStream()
    const last = read.bounded.next()
    read.go({ done: true, value: undefined })
    await last
    const left = createStream()
    const pending = left.bounded.next()
    await left.bounded.return?.()
    expect(left.returned).toHaveBeenCalledOnce()
    left.go(chunk)
    await pending
    expect(vi.getTimerCount()).toBe(0)
  })
})
