import { type RawBuilder, type SqlBool, sql } from 'kysely'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Tx } from '../open.ts'

/** What is given must all hold. */
export interface EventFilter {
  type: string | undefined
  severity: string | undefined
  actorId: string | undefined
  /** The device that it is about. */
  deviceId: string | undefined
  /** Milliseconds since the Unix epoch: from, and before. */
  from: number | undefined
  to: number | undefined
}

export interface EventPage extends EventFilter {
  organizationId: string
  order: 'newest' | 'oldest'
  limit: number
  /** The index of the last item of the page before. */
  after: number | undefined
}

/** Events of an organization and of the service itself. */
export async function listEvents(tx: Tx, page: EventPage): Promise<{ index: number; entry: string }[]> {
  const direction = page.order === 'newest' ? sql`desc` : sql`asc`
  const { start, end } = await findBounds(tx, page)
  const [lead, ...filters] = indexedFilters(page)
  const columns = [...(lead === undefined ? [] : [lead.column]), 'organization_id', 'index'].map((name) =>
    sql.ref(name),
  )
  const conditions = [...(lead?.condition ?? []), ...filters.map(isOneOf), ...otherConditions(page)]

  /**
   * One for each of the two, so that each is read in the order of an index of its own: from one row of that index to another.
   * Said as equality the planner would leave the columns out of the order, which the index of the whole log has then too, and read
   * everybody's entries until it has found enough of these.
   */
  function branch(organization: string) {
    const row = (index: number) => sql.join([...(lead === undefined ? [] : [lead.value]), organization, index])
    const range = [sql`(${sql.join(columns)}) >= (${row(start)})`, sql`(${sql.join(columns)}) < (${row(end)})`]
    return sql`(select index, entry from audit_entry where ${sql.join([...range, ...conditions], sql` and `)}
      order by ${sql.join(columns.map((column) => sql`${column} ${direction}`))} limit ${sql.lit(page.limit)})`
  }
  const { rows } = await sql<{ index: number; entry: string }>`
    ${branch(page.organizationId)} union all ${branch(NIL_UUID)}
      order by index ${direction} limit ${sql.lit(page.limit)}`.execute(tx)
  return rows
}

interface IndexedFilter {
  column: string
  value: string
  /** Of an index that has not every row. */
  condition: RawBuilder<SqlBool>[]
}

/** What is given of the filters that an index begins with; the narrowest first. */
function indexedFilters({ deviceId, actorId, type, severity }: EventFilter): IndexedFilter[] {
  const filters: (Omit<IndexedFilter, 'value'> & { value: string | undefined })[] = [
    { column: 'device_id', value: deviceId, condition: [sql`device_id is not null`] },
    { column: 'actor_id', value: actorId, condition: [] },
    { column: 'type', value: type, condition: [] },
    { column: 'severity', value: severity === 'info' ? undefined : severity, condition: [sql`severity <> 'info'`] },
  ]
  return filters.flatMap(({ value, ...filter }) => (value === undefined ? [] : [{ ...filter, value }]))
}

/** Equality that the planner does not take for a reason to choose another index. */
function isOneOf({ column, value }: IndexedFilter): RawBuilder<SqlBool> {
  return sql<SqlBool>`${sql.ref(column)} = any (${[value]})`
}

function otherConditions({ severity, from, to }: EventFilter): RawBuilder<SqlBool>[] {
  const conditions: RawBuilder<SqlBool>[] = []
  if (severity === 'info') conditions.push(sql`severity = 'info'`)
  // Not as the two ends of one range: of one that it does not know the planner thinks that next to nothing lies within.
  if (from !== undefined) conditions.push(sql`(at, 0) >= (${new Date(from)}, 0)`)
  if (to !== undefined) conditions.push(sql`at < ${new Date(to)}`)
  return conditions
}

/** Indexes from, and before, of what a page can have. */
async function findBounds(tx: Tx, { from, to, after, order }: EventPage): Promise<{ start: number; end: number }> {
  // Entries stand almost in the order of their times: whole partitions are outside of the time that is asked for.
  const isOfSomeTime = from !== undefined || to !== undefined
  const { start, end } = isOfSomeTime
    ? await findPartitionsOf(tx, from, to)
    : { start: 0, end: Number.MAX_SAFE_INTEGER }
  if (after === undefined) return { start, end }
  return order === 'newest' ? { start, end: Math.min(end, after) } : { start: Math.max(start, after + 1), end }
}

async function findPartitionsOf(tx: Tx, from: number | undefined, to: number | undefined) {
  let query = tx
    .selectFrom('audit_partition')
    .select((eb) => [eb.fn.min('first_index').as('start'), eb.fn.max('end_index').as('end')])
    .where('removed_at', 'is', null)
  if (from !== undefined) query = query.where(sql<SqlBool>`newest_at >= ${new Date(from)}`)
  if (to !== undefined) query = query.where(sql<SqlBool>`oldest_at < ${new Date(to)}`)
  const row = await query.executeTakeFirst()
  return { start: row?.start ?? 0, end: row?.end ?? 0 }
}
