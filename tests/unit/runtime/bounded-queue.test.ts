import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createBoundedQueue, QueueFullError } from '../../../runtime/bounded-queue.ts'

/** Tasks that end when the test says so. */
function makeTasks(count: number) {
  const started: number[] = []
  const ends = Array.from({ length: count }, () => Promise.withResolvers<number>())
  const tasks = ends.map(({ promise }, i) => () => {
    started.push(i)
    return promise
  })
  const end = (i: number) => ends[i]?.resolve(i)
  const fail = (i: number) => ends[i]?.reject(new Error(`task ${i}`))
  return { started, tasks, end, fail }
}

describe('a bounded queue', () => {
  test('runs as many at once as it may, the others in the order in which they came', async () => {
    const queue = createBoundedQueue(2, 10)
    const { started, tasks, end } = makeTasks(5)
    const results = tasks.map((task) => queue.run(task))
    await turn()
    expect([started, queue.waiting()]).toEqual([[0, 1], 3])
    end(1)
    await results[1]
    await turn()
    expect([started, queue.waiting()]).toEqual([[0, 1, 2], 2])
    for (const i of [0, 2, 3, 4]) {
      end(i)
      await results[i]
      await turn()
    }
    expect(started).toEqual([0, 1, 2, 3, 4])
    expect(await Promise.all(results)).toEqual([0, 1, 2, 3, 4])
    expect(queue.waiting()).toBe(0)
  })

  test('refuses what it has no room for, and takes more when there is room again', async () => {
    const queue = createBoundedQueue(1, 1)
    const { started, tasks, end } = makeTasks(3)
    const [running, waiting] = [
      queue.run(tasks[0] as () => Promise<number>),
      queue.run(tasks[1] as () => Promise<number>),
    ]
    await expect(queue.run(tasks[2] as () => Promise<number>)).rejects.toThrow(QueueFullError)
    expect(started).toEqual([0])
    end(0)
    await running
    const later = queue.run(tasks[2] as () => Promise<number>)
    end(1)
    end(2)
    expect(await Promise.all([waiting, later])).toEqual([1, 2])
    expect(started).toEqual([0, 1, 2])
  })

  test('gives the place of a task that fails or throws to the next one', async () => {
    const queue = createBoundedQueue(1, 5)
    const { tasks, fail, end } = makeTasks(2)
    const failing = queue.run(tasks[0] as () => Promise<number>)
    const throwing = queue.run(() => {
      throw new Error('at once')
    })
    const last = queue.run(tasks[1] as () => Promise<number>)
    fail(0)
    await expect(failing).rejects.toThrow('task 0')
    await expect(throwing).rejects.toThrow('at once')
    end(1)
    expect(await last).toBe(1)
    expect(await queue.run(async () => 'free')).toBe('free')
  })

  test('never runs more than it may, whatever comes and goes', async () => {
    const queue = createBoundedQueue(3, 1000)
    let running = 0
    let most = 0
    const work = async (i: number) => {
      running++
      most = Math.max(most, running)
      for (let turns = 0; turns <= i % 4; turns++) await turn()
      running--
      if (i % 7 === 0) throw new Error('now and then')
    }
    await Promise.allSettled(Array.from({ length: 200 }, (_, i) => queue.run(() => work(i))))
    expect([most, running, queue.waiting()]).toEqual([3, 0, 0])
  })

  test('lets other work in between two tasks', async () => {
    const queue = createBoundedQueue(1, 5)
    const order: string[] = []
    const first = queue.run(async () => void order.push('first'))
    const second = queue.run(async () => void order.push('second'))
    await first
    order.push('between')
    await second
    expect(order).toEqual(['first', 'between', 'second'])
  })
})
