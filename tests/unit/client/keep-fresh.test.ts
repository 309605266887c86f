import { describe, expect, it } from 'vitest'
import { type DeviceOptions, openDevice } from '../../../client/device.ts'
import type { KeepFreshOptions } from '../../../client/keep-fresh.ts'
import { createMemoryStore } from '../../../client/memory-store.ts'
import { BUCKET_MS } from '../../../protocol/exchange/bucket.ts'
import { refusal } from './fake-answer.ts'
import { codeOf, enrolledDevice, firstBucket, startAt } from './setup.ts'

const EXCHANGE = 'POST /v1/exchanges'

/**
 * A device whose pauses pass at once: each moves the clocks of device and server. `atPause` is called before each and may
 * change the world or abort.
 */
async function keptDevice(more: Partial<DeviceOptions> = {}) {
  const setup = await enrolledDevice()
  const { store, clock, pass } = setup
  const controller = new AbortController()
  const timers = { now: 0 }
  const pauses: number[] = []
  const world = { ...setup, controller, pauses, timers, atPause: () => {} }
  const wait: DeviceOptions['wait'] = async (ms, signal) => {
    pauses.push(ms)
    world.atPause()
    signal?.throwIfAborted()
    timers.now += ms
    pass(ms)
  }
  const device = await openDevice({ store, now: () => clock.now, monotonicNow: () => timers.now, wait, ...more })
  const seen = { sessions: [] as string[], errors: [] as string[], retries: [] as number[] }
  const keep = (options: Partial<KeepFreshOptions> = {}) =>
    device.keepFresh({
      signal: controller.signal,
      onExchange: (status) => void seen.sessions.push(status.session?.sessionId ?? ''),
      onError(error, retryInMs) {
        seen.errors.push(error.code)
        seen.retries.push(retryInMs)
      },
      ...options,
    })
  const stopAt = (ms: number) => {
    const before = world.atPause
    world.atPause = () => {
      before()
      if (clock.now >= startAt + ms) controller.abort()
    }
  }
  return Object.assign(world, { device, seen, keep, stopAt })
}

describe('a device that is kept fresh', () => {
  it('exchanges at once and at half of each session’s life, and has a key all along', async () => {
    const kept = await keptDevice()
    const keys: Promise<unknown>[] = []
    kept.atPause = () => void keys.push(kept.device.key('encryption'))
    kept.stopAt(5 * 3_600_000)
    await kept.keep()
    await expect(Promise.all(keys)).resolves.toHaveLength(kept.pauses.length)
    // Every 27 to 33 minutes, in five hours.
    expect(kept.seen.sessions.length).toBeGreaterThanOrEqual(10)
    expect(kept.seen.sessions.length).toBeLessThanOrEqual(12)
    expect(new Set(kept.seen.sessions).size).toBe(kept.server.count(EXCHANGE))
    expect(kept.seen.errors).toEqual([])
    expect(Math.max(...kept.pauses)).toBeLessThanOrEqual(30_000)
  })

  it('leaves a session alone that another process keeps', async () => {
    const kept = await keptDevice()
    await kept.device.exchange()
    kept.stopAt(60_000)
    await kept.keep()
    expect(kept.seen.sessions).toEqual([])
  })

  it('erases chains on time', async () => {
    const kept = await keptDevice()
    kept.stopAt(2 * BUCKET_MS)
    await kept.keep()
    expect((await kept.store.load())?.session?.epoch).toBeGreaterThanOrEqual(firstBucket + 1)
  })

  it('outlasts a server that is away, asking ever less often, and is back soon after it', async () => {
    const kept = await keptDevice()
    let isAway = true
    kept.server.tamper = (_line, answer) => (isAway ? refusal(503, 'unavailable') : answer)
    kept.atPause = () => {
      isAway = kept.clock.now < startAt + 20 * 60_000
    }
    kept.stopAt(25 * 60_000)
    await kept.keep()
    expect(kept.seen.sessions).toHaveLength(1)
    expect(new Set(kept.seen.errors)).toEqual(new Set(['unavailable']))
    expect(Math.max(...kept.seen.retries)).toBeLessThanOrEqual(60_000)
    // Waiting 30 s on average: twenty minutes hold some forty attempts, not thousands.
    expect(kept.seen.errors.length).toBeLessThan(150)
  })

  it('waits as long as a server asks, even past its own bounds', async () => {
    const kept = await keptDevice()
    kept.server.tamper = (_line, answer) =>
      kept.seen.errors.length === 0 ? { ...refusal(503, 'overloaded'), headers: { 'Retry-After': '900' } } : answer
    kept.stopAt(1_300_000)
    await kept.keep()
    expect(kept.seen.errors).toEqual(['overloaded'])
    expect(kept.seen.retries[0]).toBeGreaterThanOrEqual(900_000)
    expect(kept.seen.sessions).toHaveLength(1)
  })

  it('does not hammer a server that refuses it, nor give up', async () => {
    const kept = await keptDevice()
    kept.server.tamper = (line, answer) => (line === EXCHANGE ? refusal(401, 'exchange_refused') : answer)
    kept.stopAt(2 * 3_600_000)
    await kept.keep()
    expect(new Set(kept.seen.errors)).toEqual(new Set(['exchange_refused']))
    expect(kept.seen.errors.length).toBeGreaterThan(13)
    expect(kept.seen.errors.length).toBeLessThan(100)
  })

  it.each([
    ['backwards by years', -400 * 86_400_000],
    ['forwards by minutes', 12 * 60_000],
  ])('exchanges when its clock jumps %s, and has the right key afterwards', async (_what, ms) => {
    const kept = await keptDevice()
    kept.atPause = () => {
      if (kept.pauses.length === 3) kept.clock.now += ms
    }
    const stop = kept.atPause
    kept.atPause = () => {
      stop()
      if (kept.pauses.length === 8) kept.controller.abort()
    }
    await kept.keep()
    expect(kept.seen.sessions).toHaveLength(2)
    const { session } = await kept.device.status()
    expect(session?.clockOffsetMs).toBe(-ms)
    expect((await kept.device.key('encryption')).epoch).toBe(Math.floor(kept.server.now / BUCKET_MS))
  })

  it('exchanges after a sleep, in which timers stand still', async () => {
    const kept = await keptDevice()
    kept.atPause = () => {
      if (kept.pauses.length === 2) kept.pass(8 * 3_600_000)
      if (kept.pauses.length === 5) kept.controller.abort()
    }
    await kept.keep()
    expect(kept.seen.sessions).toHaveLength(2)
    expect((await kept.device.status()).session?.clockOffsetMs).toBe(0)
  })

  it('ends when it is aborted: before the first exchange, in the middle of one, and between two', async () => {
    const never = await keptDevice()
    never.controller.abort()
    await never.keep()
    expect(never.server.count(EXCHANGE)).toBe(0)

    const during = await keptDevice()
    during.server.tamper = (line, answer) => {
      if (line === EXCHANGE) during.controller.abort()
      return answer
    }
    await during.keep()
    expect(during.seen).toEqual({ sessions: [], errors: [], retries: [] })

    const between = await keptDevice({ wait: undefined })
    const ended = between.keep({ onExchange: () => setImmediate(() => between.controller.abort()) as never })
    await expect(ended).resolves.toBeUndefined()
  })

  it('ends with what a callback throws, and where no waiting helps', async () => {
    const kept = await keptDevice()
    const mine = new Error('mine')
    const fail = () => {
      throw mine
    }
    await expect(kept.keep({ onExchange: fail })).rejects.toBe(mine)
    kept.server.tamper = () => refusal(503, 'unavailable')
    kept.pass(3_600_000)
    await expect(kept.keep({ onError: fail })).rejects.toBe(mine)

    const gone = await keptDevice()
    const store = { ...gone.store, load: createMemoryStore().load }
    let loads = 0
    const vanishing = { ...gone.store, load: () => (loads++ === 0 ? gone.store.load() : store.load()) }
    const device = await openDevice({ store: vanishing, url: gone.server.url })
    expect(await codeOf(device.keepFresh({ signal: gone.controller.signal }))).toBe('not_enrolled')
  })
})
