import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves when the work is over, or after the bound. */
export async function closeWithin(boundMs: number, closing: Promise<unknown>): Promise<void> {
  const bound = new AbortController()
  await Promise.race([closing, sleep(boundMs, undefined, { signal: bound.signal }).catch(() => undefined)])
  bound.abort()
}

/** What the work gives. Throws `message` after the bound; the work goes on, and nobody hears of it any more. */
export async function within<T>(boundMs: number, work: Promise<T>, message: string): Promise<T> {
  const bound = new AbortController()
  const late = sleep(boundMs, undefined, { signal: bound.signal }).then(() => {
    throw new Error(message)
  })
  // Whoever loses the race says nothing new.
  late.catch(() => {})
  work.catch(() => {})
  try {
    return await Promise.race([work, late])
  } finally {
    bound.abort()
  }
}
