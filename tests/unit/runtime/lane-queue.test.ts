import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { QueueFullError } from '../../../runtime/bounded-queue.ts'
import { type Claimant, COMES_WITHIN_MS, createLaneQueue, PROVED_IN_A_ROW } from '../../../runtime/lane-queue.ts'

const proved = (owner: string): Claimant => ({ lane: 'proved', owner })
const unproved = (owner: string): Claimant => ({ lane: 'unproved', owner })

/** A queue with one place to work, which is taken until `begin` is called. */
function makeQueue(maxWaiting: number) {
  const time = { now: 0 }
  const queue = createLaneQueue(1, maxWaiting, () => time.now)
  const { promise, resolve: begin } = Promise.withResolvers<void>()
  const first = queue.run(proved('first'), () => promise)
  const done: string[] = []
  const refused: string[] = []
  const add = (claimant: Claimant, name: string): void => {
    queue
      .run(claimant, async () => void done.push(name))
      .catch((error: unknown) => refused.push(error instanceof QueueFullError ? name : String(error)))
  }
  return { queue, time, done, refused, add, begin, first }
}

async function settle(): Promise<void> {
  for (let turns = 0; turns < 60; turns++) await turn()
}

describe('a queue of two lanes', () => {
  test('serves who is proved first, and the others once for so many of them', async () => {
    const { add, begin, done } = makeQueue(20)
    add(unproved('x'), 'unproved 1')
    add(unproved('x'), 'unproved 2')
    for (let i = 1; i <= PROVED_IN_A_ROW + 2; i++) add(proved('a'), `proved ${i}`)
    begin()
    await settle()
    const before = Array.from({ length: PROVED_IN_A_ROW }, (_, i) => `proved ${i + 1}`)
    const after = [PROVED_IN_A_ROW + 1, PROVED_IN_A_ROW + 2].map((i) => `proved ${i}`)
    expect(done).toEqual([...before, 'unproved 1', ...after, 'unproved 2'])
  })

  test('lets owners take turns, each with what came first', async () => {
    const { add, begin, done } = makeQueue(20)
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) add(proved(name.charAt(0)), name)
    begin()
    await settle()
    expect(done).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
  })

  test('a lane that is full takes no place of the other', async () => {
    const { add, begin, done, refused, queue } = makeQueue(2)
    for (const name of ['x1', 'y1', 'z1']) add(unproved(name.charAt(0)), name)
    add(proved('a'), 'a1')
    expect(queue.waiting()).toBe(3)
    begin()
    await settle()
    expect([done, refused]).toEqual([['a1', 'x1', 'y1'], ['z1']])
  })

  test('the newest of who has most gives way to who has fewer, and to nobody who would have as many', async () => {
    const { add, begin, done, refused } = makeQueue(4)
    for (const name of ['a1', 'a2', 'a3', 'a4']) add(proved('a'), name)
    for (const name of ['b1', 'b2', 'b3', 'a5']) add(proved(name.charAt(0)), name)
    begin()
    await settle()
    expect(done).toEqual(['a1', 'b1', 'a2', 'b2'])
    expect(refused).toEqual(['a4', 'a3', 'b3', 'a5'])
  })

  test('who invents owners without end pushes nobody', async () => {
    const { add, begin, done, refused } = makeQueue(3)
    for (let i = 0; i < 50; i++) add(unproved(`invented ${i}`), `${i}`)
    begin()
    await settle()
    expect(done).toEqual(['0', '1', '2'])
    expect(refused).toHaveLength(47)
  })

  test('goes on when a task fails, and when one that waited had to give way', async () => {
    const { queue, add, begin, done, first } = makeQueue(2)
    const failing = queue.run(proved('a'), () => Promise.reject(new Error('no')))
    add(proved('a'), 'a2')
    add(proved('b'), 'b1')
    begin()
    await first
    await expect(failing).rejects.toThrow('no')
    await settle()
    expect(done).toEqual(['b1'])
    expect(queue.waiting()).toBe(0)
    expect(await queue.run(unproved('x'), async () => 'free')).toBe('free')
  })
})

describe('who asks before he comes', () => {
  test('is told so only as often as there is room, for those who were told and those who came', () => {
    const { queue, add } = makeQueue(3)
    expect([1, 2, 3, 4].map(() => queue.admits(unproved('x')))).toEqual([true, true, true, false])
    add(unproved('x'), 'came')
    expect(queue.admits(unproved('x')), 'who came waits, and is not counted twice').toBe(false)
    expect(queue.admits(proved('a')), 'the other lane').toBe(true)
  })

  test('and does not come keeps nobody out for longer than a moment', () => {
    const { queue, time } = makeQueue(1)
    expect([queue.admits(unproved('x')), queue.admits(unproved('y'))]).toEqual([true, false])
    time.now += COMES_WITHIN_MS
    expect(queue.admits(unproved('y'))).toBe(true)
  })

  test('is told so in a full lane where somebody has more', () => {
    const { queue, add } = makeQueue(3)
    for (const name of ['a1', 'a2', 'a3']) add(unproved('a'), name)
    expect([queue.admits(unproved('a')), queue.admits(unproved('b'))]).toEqual([false, true])
  })
})
