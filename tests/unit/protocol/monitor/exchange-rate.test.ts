import { describe, expect, test } from 'vitest'
import {
  countExchange,
  type ExchangeRate,
  isRateUnusual,
  LEAST_EXCHANGES,
  LEAST_HOURS,
  RATE_PERIOD_MS,
} from '../../../../protocol/monitor/exchange-rate.ts'

/** A device that exchanged so often in each of these hours, one after the other. */
function after(hours: readonly number[], rate?: ExchangeRate): ExchangeRate {
  let now = rate
  const begin = rate === undefined ? 1_000 : rate.hour + 1
  hours.forEach((count, i) => {
    for (let n = 0; n < count; n++) now = countExchange(now, (begin + i) * RATE_PERIOD_MS + n)
  })
  return now as ExchangeRate
}

const usual = (hours: number, count = 12) => Array.from({ length: hours }, () => count)

describe('the rate of a device', () => {
  test('is unusual when it is far from what its hours before were', () => {
    expect(isRateUnusual(after([...usual(20), LEAST_EXCHANGES]))).toBe(false)
    expect(isRateUnusual(after([...usual(20), LEAST_EXCHANGES + 1]))).toBe(true)
  })

  test('is not held against a device that has been there for a few hours only', () => {
    expect(isRateUnusual(after([...usual(LEAST_HOURS - 1), 500]))).toBe(false)
    expect(isRateUnusual(after([...usual(LEAST_HOURS), 500]))).toBe(true)
  })

  test('may be high where it always is, and as unsteady as it always is', () => {
    expect(isRateUnusual(after([...usual(20, 300), 400]))).toBe(false)
    expect(isRateUnusual(after([...usual(20, 300), 601]))).toBe(true)
    const unsteady = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 10 : 90))
    expect(isRateUnusual(after([...unsteady, 150]))).toBe(false)
    expect(isRateUnusual(after([...unsteady, 300]))).toBe(true)
  })

  test('does not become usual by going on for some hours', () => {
    let rate = after(usual(20))
    for (let hour = 0; hour < 5; hour++) {
      rate = after([500], rate)
      expect(isRateUnusual(rate)).toBe(true)
    }
  })

  test('does not become usual within days by growing, always as much as is not unusual yet', () => {
    let rate = after(usual(20, 2))
    for (let hour = 0; hour < 72; hour++) {
      rate = after([1], rate)
      while (!isRateUnusual({ ...rate, count: rate.count + 1 })) rate = { ...rate, count: rate.count + 1 }
    }
    expect(isRateUnusual(after([300], rate))).toBe(true)
  })

  test('of an hour that has begun counts what comes late from the one before', () => {
    const rate = after([...usual(10), 5])
    expect(countExchange(rate, (rate.hour - 1) * RATE_PERIOD_MS)).toEqual({ ...rate, count: 6 })
  })

  test('goes on being counted by the hour when a clock that ran ahead is put back', () => {
    const ahead = after([30], after(usual(10)))
    expect(isRateUnusual(ahead)).toBe(true)
    const told = { ...ahead, hour: ahead.hour + 8_760, isTold: true }
    const back = countExchange(told, (ahead.hour + 1) * RATE_PERIOD_MS)
    expect(back).toMatchObject({ hour: ahead.hour + 1, count: 1, isTold: false, mean: told.mean, hours: told.hours })
    let now = back
    for (let n = 1; n < 25; n++) now = countExchange(now, (ahead.hour + 1) * RATE_PERIOD_MS + n)
    expect(isRateUnusual(now)).toBe(true)
  })

  test('has the mean and the variance of the few hours that there were', () => {
    const { mean, variance, hours } = after([10, 20, 30, 0, 1].filter((count) => count > 0))
    expect([mean, hours]).toEqual([20, 3])
    expect(variance).toBeCloseTo(66.67, 1)
  })
})
