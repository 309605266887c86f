import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves when the work is over, or after the bound. */
export async function closeWithin(boundMs: number, closing: Promise<unknown>): Promise<void> {
  const bound = new AbortController()
  await Promise.race([closing, sleep(boundMs, undefined, { signal: bound.signal }).catch(() => undefined)])
  bound.abort()
}
