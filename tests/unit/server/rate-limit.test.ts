import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createMetrics } from '../../../runtime/metrics.ts'
import { createMemoryRateLimit } from '../../../server/rate-limit.ts'
import { createRateLimits, RateLimitedError } from '../../../server/rate-limits.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a limit', () => {
  test('lets its number of requests through in a window, and not one more', async () => {
    const limit = createMemoryRateLimit(3)
    for (const remaining of [2, 1, 0]) {
      expect(await limit.take('a')).toEqual({ limit: 3, remaining, resetSeconds: 60, isExceeded: false })
    }
    for (let again = 0; again < 5; again++) {
      expect(await limit.take('a')).toEqual({ limit: 3, remaining: 0, resetSeconds: 60, isExceeded: true })
    }
  })

  test('counts requests that come at once one by one', async () => {
    const limit = createMemoryRateLimit(10)
    const states = await Promise.all(Array.from({ length: 25 }, () => limit.take('a')))
    expect(states.filter(({ isExceeded }) => !isExceeded)).toHaveLength(10)
  })

  test('counts each key on its own', async () => {
    const limit = createMemoryRateLimit(1)
    await limit.take('a')
    expect(await limit.take('a')).toMatchObject({ isExceeded: true })
    expect(await limit.take('b')).toMatchObject({ isExceeded: false })
    expect(await limit.take('__proto__')).toMatchObject({ isExceeded: false })
  })

  test('begins anew a minute after the first request, however many came in between', async () => {
    const limit = createMemoryRateLimit(2)
    await limit.take('a')
    vi.advanceTimersByTime(59_500)
    for (let i = 0; i < 5; i++) await limit.take('a')
    expect(await limit.take('a')).toMatchObject({ isExceeded: true, resetSeconds: 1 })
    vi.advanceTimersByTime(500)
    expect(await limit.take('a')).toEqual({ limit: 2, remaining: 1, resetSeconds: 60, isExceeded: false })
  })

  test('is looked at without counting', async () => {
    const limit = createMemoryRateLimit(2)
    for (let i = 0; i < 5; i++) expect(await limit.peek('a')).toMatchObject({ remaining: 2, isExceeded: false })
    await limit.take('a')
    expect(await limit.peek('a')).toMatchObject({ remaining: 1, isExceeded: false })
    await limit.take('a')
    expect(await limit.peek('a')).toMatchObject({ remaining: 0, isExceeded: true })
    vi.advanceTimersByTime(60_000)
    expect(await limit.peek('a')).toMatchObject({ remaining: 2, isExceeded: false })
  })

  test('remembers a bounded number of keys: the one that was seen first is forgotten', async () => {
    const limit = createMemoryRateLimit(1, 3)
    for (const key of ['a', 'b', 'c', 'a']) await limit.take(key)
    await limit.take('d')
    for (const key of ['b', 'c', 'd']) expect(await limit.peek(key), key).toMatchObject({ isExceeded: true })
    expect(await limit.peek('a')).toMatchObject({ isExceeded: false })
    // One timer per remembered key: what is forgotten is forgotten by the limiter too.
    for (let i = 0; i < 1000; i++) await limit.take(`flood ${i}`)
    expect(vi.getTimerCount()).toBe(3)
  })
})

describe('the limits', () => {
  const off = { address: 0, addressRefused: 0, apiToken: 0, device: 0, organization: 0 }

  test('that are 0 are off', async () => {
    const limits = createRateLimits(off, createMetrics())
    for (let i = 0; i < 10; i++) expect(await limits.take('address', 'a')).toBeUndefined()
    await limits.check('address_refused', 'a')
    expect(await limits.count('device', 'd', 3)).toBeUndefined()
  })

  test('refuse with how long to wait, and count it by the name of the limit', async () => {
    const metrics = createMetrics()
    const limits = createRateLimits({ ...off, address: 1, addressRefused: 1 }, metrics)
    await limits.take('address', 'a')
    vi.advanceTimersByTime(20_000)
    const refused = await limits.take('address', 'a').catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(RateLimitedError)
    expect(refused).toMatchObject({ code: 'rate_limited', retryAfterSeconds: 40, state: { limit: 1, remaining: 0 } })
    await limits.take('address_refused', 'a')
    await expect(limits.check('address_refused', 'a')).rejects.toMatchObject({ code: 'rate_limited' })
    const values = (await metrics.rateLimited.get()).values.map(({ labels, value }) => [labels.limit, value])
    expect(values).toEqual([
      ['address', 1],
      ['address_refused', 1],
    ])
  })

  test('count what was let through already, as much as it weighs, and refuse what comes then', async () => {
    const limits = createRateLimits({ ...off, organization: 5 }, createMetrics())
    expect(await limits.take('organization', 'o')).toMatchObject({ remaining: 4 })
    expect(await limits.count('organization', 'o', 3)).toMatchObject({ remaining: 1, isExceeded: false })
    await limits.check('organization', 'o')
    expect(await limits.count('organization', 'o', 100)).toMatchObject({ remaining: 0, isExceeded: true })
    for (const refused of [limits.check('organization', 'o'), limits.take('organization', 'o')]) {
      await expect(refused).rejects.toThrow('This organization')
    }
    expect(await limits.take('organization', 'another')).toMatchObject({ remaining: 4 })
  })
})
