import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createConnectionShares, NOBODY } from '../../../database/connection-shares.ts'

const WAIT_MS = 5_000

/** Work that begins when it has a connection, and ends when it is told. */
function createWork(total: number) {
  const shares = createConnectionShares(total, WAIT_MS)
  const begun: string[] = []
  const run = (owner: string, name = owner) => {
    const work = Promise.withResolvers<void>()
    const done = shares.run(owner, async () => {
      begun.push(name)
      await work.promise
    })
    return { done, end: () => (work.resolve(), done) }
  }
  return { shares, begun, run }
}

describe('connections are shared', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('by turns: who comes last and wants one is the next but one', async () => {
    const { begun, run, shares } = createWork(2)
    const first = run('a', 'a1')
    const [second, third] = ['a2', 'a3'].map((name) => run('a', name))
    const other = run('b')
    const last = run(NOBODY, 'nobody')
    expect(begun).toEqual(['a1', 'b'])
    await first.end()
    await other.end()
    expect(begun).toEqual(['a1', 'b', 'a2', 'nobody'])
    await second?.end()
    expect(begun).toEqual(['a1', 'b', 'a2', 'nobody', 'a3'])
    await Promise.all([third?.end(), last.end()])
    expect(shares.waiting()).toBe(0)
  })

  it.each([
    [1, 1],
    [2, 1],
    [4, 3],
    [10, 8],
    [200, 160],
  ])('of %i an organization has %i at most, and who is nobody yet all of them', (total, most) => {
    const one = createWork(total)
    for (let i = 0; i <= total; i++) one.run('a')
    expect([one.begun.length, one.shares.waiting()]).toEqual([most, total + 1 - most])
    const nobody = createWork(total)
    for (let i = 0; i <= total; i++) nobody.run(NOBODY)
    expect([nobody.begun.length, nobody.shares.waiting()]).toEqual([total, 1])
  })

  it('again when work fails, and when it throws before it has begun', async () => {
    const { shares, begun, run } = createWork(1)
    const failing = shares.run('a', async () => {
      throw new Error('refused')
    })
    const next = run('b')
    await expect(failing).rejects.toThrow('refused')
    expect(begun).toEqual(['b'])
    await next.end()
    const thrown = shares.run('a', () => {
      throw new Error('at once')
    })
    await expect(thrown).rejects.toThrow('at once')
    run('b')
    expect(begun).toEqual(['b', 'b'])
  })

  it('with nobody who has waited too long: he is told, and does not get one later', async () => {
    const { begun, run, shares } = createWork(1)
    const first = run('a')
    const late = run('b')
    const told = expect(late.done).rejects.toMatchObject({ code: 'unavailable' })
    await vi.advanceTimersByTimeAsync(WAIT_MS - 1)
    const next = run('c')
    expect(shares.waiting()).toBe(2)
    await vi.advanceTimersByTimeAsync(1)
    await told
    expect(shares.waiting()).toBe(1)
    await first.end()
    expect(begun).toEqual(['a', 'c'])
    await next.end()
    run('b')
    expect(begun).toEqual(['a', 'c', 'b'])
  })

  it('also when one organization alone waits, for what it has itself', async () => {
    const { begun, run } = createWork(4)
    const [first] = Array.from({ length: 5 }, (_, i) => run('a', `a${i}`))
    expect(begun).toHaveLength(3)
    run('b')
    expect(begun.at(-1)).toBe('b')
    await first?.end()
    expect(begun.at(-1)).toBe('a3')
  })
})
