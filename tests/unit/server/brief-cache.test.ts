import { expect, test, vi } from 'vitest'
import { createBriefCache, MAX_CACHE_LIFE_MS } from '../../../server/brief-cache.ts'

function open(maxEntries = 10) {
  const time = { now: 5_000 }
  return { time, cache: createBriefCache<string>(maxEntries, () => time.now) }
}

test('what was found is read once in its life, and anew afterwards', async () => {
  const { time, cache } = open()
  const read = vi.fn(async () => 'found')
  for (const later of [0, 1, MAX_CACHE_LIFE_MS - 2]) {
    time.now += later
    expect(await cache.get('a', read)).toBe('found')
  }
  expect(read).toHaveBeenCalledTimes(1)
  time.now += 1
  await cache.get('a', read)
  expect(read).toHaveBeenCalledTimes(2)
})

test('a life begins before the reading, however long that takes', async () => {
  const { time, cache } = open()
  await cache.get('a', async () => {
    time.now += MAX_CACHE_LIFE_MS
    return 'old'
  })
  expect(await cache.get('a', async () => 'new')).toBe('new')
})

test('nothing that was not found is kept, and no failure', async () => {
  const { cache } = open()
  expect(await cache.get('a', async () => undefined)).toBeUndefined()
  await expect(cache.get('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away')
  expect(await cache.get('a', async () => 'found')).toBe('found')
})

test('what is forgotten while it is read is not kept', async () => {
  const { cache } = open()
  const reading = Promise.withResolvers<string>()
  const first = cache.get('a', () => reading.promise)
  cache.forget('a')
  reading.resolve('old')
  expect(await first).toBe('old')
  expect(await cache.get('a', async () => 'new')).toBe('new')
})

test('the oldest goes when there are too many', async () => {
  const { cache } = open(2)
  for (const id of ['a', 'b', 'c']) await cache.get(id, async () => 'old')
  expect(await cache.get('c', async () => 'new')).toBe('old')
  expect(await cache.get('b', async () => 'new')).toBe('old')
  expect(await cache.get('a', async () => 'new')).toBe('new')
})
