import { describe, expect, test } from 'vitest'
import { QueueFullError } from '../../../runtime/bounded-queue.ts'
import { createFairQueue } from '../../../runtime/fair-queue.ts'

describe('a fair queue', () => {
  test('refuses an owner who has his share, running or waiting, and takes the tasks of others', async () => {
    const queue = createFairQueue(1, 3, 2)
    const { promise, resolve } = Promise.withResolvers<string>()
    const own = [queue.run('a', () => promise), queue.run('a', () => promise)]
    await expect(queue.run('a', () => promise)).rejects.toBeInstanceOf(QueueFullError)
    const others = [queue.run('b', () => promise), queue.run('c', () => promise)]
    await expect(queue.run('d', () => promise)).rejects.toBeInstanceOf(QueueFullError)
    resolve('done')
    expect(await Promise.all([...own, ...others])).toEqual(['done', 'done', 'done', 'done'])
  })

  test('gives back the place of a task that has ended, failed or was refused', async () => {
    const queue = createFairQueue(1, 0, 1)
    for (let i = 0; i < 3; i++) {
      await expect(queue.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
      const { promise, resolve } = Promise.withResolvers<string>()
      const running = queue.run('a', () => promise)
      await expect(queue.run('b', async () => 'b')).rejects.toBeInstanceOf(QueueFullError)
      resolve('a')
      expect(await running).toBe('a')
      expect(await queue.run('b', async () => 'b')).toBe('b')
    }
  })
})
