import { sql } from 'kysely'
import type { ExchangeRate } from '../../protocol/monitor/exchange-rate.ts'
import type { Tx } from '../open.ts'

/** Of those of these devices that have one, by their id. */
export async function findExchangeRates(tx: Tx, deviceIds: readonly string[]): Promise<Map<string, ExchangeRate>> {
  const rows = await tx
    .selectFrom('exchange_rate')
    .select(['device_id', 'hour', 'count', 'mean', 'variance', 'hours', 'is_told'])
    .where('device_id', '=', sql<string>`any (${deviceIds}::uuid[])`)
    .execute()
  return new Map(rows.map(({ device_id, is_told, ...rate }) => [device_id, { ...rate, isTold: is_told }]))
}

/** In one statement. Whoever judges the organization's entries is alone with them. */
export async function storeExchangeRates(tx: Tx, rates: ReadonlyMap<string, ExchangeRate>): Promise<void> {
  const all = [...rates.values()]
  await sql`insert into exchange_rate (organization_id, device_id, hour, count, mean, variance, hours, is_told)
    select current_organization(), * from unnest(${[...rates.keys()]}::uuid[], ${all.map(({ hour }) => hour)}::bigint[],
      ${all.map(({ count }) => count)}::bigint[], ${all.map(({ mean }) => mean)}::double precision[],
      ${all.map(({ variance }) => variance)}::double precision[], ${all.map(({ hours }) => hours)}::integer[],
      ${all.map(({ isTold }) => isTold)}::boolean[])
    on conflict (organization_id, device_id) do update set hour = excluded.hour, count = excluded.count,
      mean = excluded.mean, variance = excluded.variance, hours = excluded.hours, is_told = excluded.is_told`.execute(
    tx,
  )
}
