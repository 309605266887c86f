import type { Tx } from '../../database/open.ts'
import { findExchangeRates, storeExchangeRates } from '../../database/repositories/exchange-rates.ts'
import { countExchange, type ExchangeRate, isRateUnusual } from '../../protocol/monitor/exchange-rate.ts'
import type { CountedEntry, FollowedEntry } from './followed-entry.ts'

/** Counts these exchanges, in their order. Those with which an hour of their device became unusual: one for each such hour. */
export async function followRates(tx: Tx, exchanges: readonly FollowedEntry[]): Promise<CountedEntry[]> {
  if (exchanges.length === 0) return []
  const deviceIds = [...new Set(exchanges.map(({ deviceId }) => deviceId))]
  const before = await findExchangeRates(tx, deviceIds)
  const rates = new Map<string, ExchangeRate>()
  const unusual: CountedEntry[] = []
  for (const exchange of exchanges) {
    const { deviceId, at } = exchange
    const rate = countExchange(rates.get(deviceId) ?? before.get(deviceId), at)
    const isNews = !rate.isTold && isRateUnusual(rate)
    if (isNews) unusual.push({ index: exchange.index, count: 1 })
    rates.set(deviceId, { ...rate, isTold: rate.isTold || isNews })
  }
  await storeExchangeRates(tx, rates)
  return unusual
}
