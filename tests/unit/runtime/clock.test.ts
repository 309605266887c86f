import { describe, expect, test } from 'vitest'
import { createClock } from '../../../runtime/clock.ts'

describe('a clock', () => {
  test('is the process’s own until it was measured', () => {
    const clock = createClock(
      async () => 0,
      () => 1_000.9,
    )
    expect([clock.now(), clock.offsetMs(), clock.measuredAt()]).toEqual([1_000, 0, undefined])
  })

  test('is the database’s after a measurement, whose answer is taken to be from the middle of the round trip', async () => {
    let local = 10_000
    const clock = createClock(
      async () => {
        local += 40
        return 25_020
      },
      () => local,
    )
    await clock.measure()
    expect([clock.offsetMs(), clock.measuredAt(), clock.now()]).toEqual([15_000, 25_040, 25_040])
    local += 5
    expect(clock.now()).toBe(25_045)
  })

  test('goes back as well, and is a whole number of milliseconds', async () => {
    const clock = createClock(
      async () => 8_999.5,
      () => 10_000,
    )
    await clock.measure()
    expect([clock.offsetMs(), clock.now()]).toEqual([-1_000.5, 8_999])
  })

  test('keeps what it knew when a measurement fails', async () => {
    let read = async () => 20_000
    const clock = createClock(
      () => read(),
      () => 10_000,
    )
    await clock.measure()
    read = () => Promise.reject(new Error('no connection'))
    await expect(clock.measure()).rejects.toThrow('no connection')
    expect([clock.offsetMs(), clock.measuredAt(), clock.now()]).toEqual([10_000, 20_000, 20_000])
  })

  test('follows the newest measurement', async () => {
    let remote = 10_007
    const clock = createClock(
      async () => remote,
      () => 10_000,
    )
    await clock.measure()
    remote = 9_990
    await clock.measure()
    expect(clock.offsetMs()).toBe(-10)
  })
})
