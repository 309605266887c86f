import { expect, test } from 'vitest'
import { MOST_ATTEMPTS, noticeDelayMs } from '../../../workers/monitor/notice-delay.ts'

const HOUR_MS = 3_600_000

test('a notice waits twice as long with each try that fails, and an hour at most', () => {
  const longest = Array.from({ length: 12 }, (_, i) => noticeDelayMs(i + 1, 0, 1) / 1000)
  expect(longest).toEqual([10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600, 3_600])
  expect(noticeDelayMs(5_000, 0, 1)).toBe(HOUR_MS)
})

test('chance takes half of the time away at most', () => {
  expect([0, 0.5, 1].map((random) => noticeDelayMs(1, 0, random))).toEqual([5_000, 7_500, 10_000])
})

test('what the receiver asked for is waited for, within the hour', () => {
  expect(noticeDelayMs(1, 300, 0)).toBe(300_000)
  expect(noticeDelayMs(10, 300, 0)).toBe(HOUR_MS / 2)
  expect(noticeDelayMs(1, 999_999_999, 0)).toBe(HOUR_MS)
})

test('all tries together take about a day', () => {
  const sum = (random: number) =>
    Array.from({ length: MOST_ATTEMPTS - 1 }, (_, i) => noticeDelayMs(i + 1, 0, random)).reduce((a, b) => a + b)
  expect(sum(0) / HOUR_MS).toBeGreaterThan(15)
  expect(sum(0.5) / HOUR_MS).toBeGreaterThan(22)
  expect(sum(1) / HOUR_MS).toBeLessThan(33)
})
