export const RATE_PERIOD_MS = 3_600_000
/** How much the newest hour weighs. */
const WEIGHT = 0.1
/** Of fewer hours nothing is held against anybody. */
export const LEAST_HOURS = 8
/** So many exchanges an hour are nobody's flood, whatever was usual. */
export const LEAST_EXCHANGES = 24
const DEVIATIONS = 4
/** An hour is learnt from as if it had been so much of the mean at most, or its mean and deviation. */
const MOST_LEARNT = 1.2

/** How often a device exchanges in an hour in which it does at all: exponentially weighted mean and variance of so many hours. */
export interface ExchangeRate {
  /** Number of the hour since the Unix epoch that is being counted. */
  hour: number
  count: number
  mean: number
  variance: number
  hours: number
  /** The hour was found to be unusual; it is said once. */
  isTold: boolean
}

export function hourOf(at: number): number {
  return Math.floor(at / RATE_PERIOD_MS)
}

/**
 * One exchange more at this time. Of an hour that is over the count becomes part of the mean, but little more of it than was usual: who
 * raises its rate, at once or by and by and never so much that it is unusual, gets nobody used to it in less than days. An exchange of
 * the hour before counts for the current one; one of still earlier says that a clock was put back, and its hour is the current one then,
 * so that nobody is counted in one hour for days.
 */
export function countExchange(rate: ExchangeRate | undefined, at: number): ExchangeRate {
  const hour = hourOf(at)
  if (rate === undefined) return { hour, count: 1, mean: 0, variance: 0, hours: 0, isTold: false }
  if (hour < rate.hour - 1) return { ...rate, hour, count: 1, isTold: false }
  if (hour <= rate.hour) return { ...rate, count: rate.count + 1 }
  const counted = rate.hours < LEAST_HOURS ? rate.count : Math.min(rate.count, mostLearntOf(rate))
  const weight = Math.max(WEIGHT, 1 / (rate.hours + 1))
  const distance = counted - rate.mean
  return {
    hour,
    count: 1,
    mean: rate.mean + weight * distance,
    variance: (1 - weight) * (rate.variance + weight * distance ** 2),
    hours: rate.hours + 1,
    isTold: false,
  }
}

/** Whether the hour that is being counted has more exchanges than the hours before let expect. */
export function isRateUnusual(rate: ExchangeRate): boolean {
  return rate.hours >= LEAST_HOURS && rate.count > limitOf(rate)
}

function limitOf({ mean, variance }: ExchangeRate): number {
  return Math.max(LEAST_EXCHANGES, 2 * mean, mean + DEVIATIONS * Math.sqrt(variance))
}

/** With more than a deviation learnt the deviation itself would grow, and what is unusual with it, by half each hour. */
function mostLearntOf({ mean, variance }: ExchangeRate): number {
  return Math.max(LEAST_EXCHANGES, MOST_LEARNT * mean, mean + Math.sqrt(variance))
}
