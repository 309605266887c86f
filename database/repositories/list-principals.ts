import { type SqlBool, sql } from 'kysely'
import type { PrincipalKind, PrincipalStatus } from '../../protocol/enrollment.ts'
import type { Tx } from '../open.ts'
import { type Principal, selectPrincipals, toPrincipal } from './principals.ts'

/** What is given must all hold. */
export interface PrincipalFilter {
  status: PrincipalStatus | undefined
  kind: PrincipalKind | undefined
  type: string | undefined
  /** That it has, among others. */
  capability: string | undefined
  /** The whole name. */
  name: string | undefined
  namePrefix: string | undefined
  /** A principal that was never seen is neither before nor after. */
  lastSeenBefore: number | undefined
  lastSeenAfter: number | undefined
  /** That the key in use is flagged as too old. */
  isRotationDue: boolean
}

/** Newest first, below `beforeId` where it is given. Which filters have an index, and why, is said in migration 0006. */
export async function listPrincipals(
  tx: Tx,
  page: PrincipalFilter & { limit: number; beforeId: string | undefined },
): Promise<Principal[]> {
  // The limit is a literal for the planner: an unknown one counts as a tenth of all devices.
  let query = selectPrincipals(tx).orderBy('principal.id', 'desc').limit(sql.lit(page.limit))
  if (page.beforeId !== undefined) {
    query = query.where('principal.id', '<', page.beforeId)
    // For the planner, which would join by reading every key from the newest device on, up to the cursor.
    query = query.where('identity_key.principal_id', '<', page.beforeId)
  }
  for (const condition of conditionsOf(page)) query = query.where(condition)
  return (await query.execute()).map(toPrincipal)
}

/** Above every text that begins with a prefix: no name holds the last code point, which is a noncharacter. */
const LAST_CODE_POINT = '\u{10FFFF}'

function conditionsOf(filter: PrincipalFilter) {
  const { status, kind, type, capability, name, namePrefix, lastSeenBefore, lastSeenAfter, isRotationDue } = filter
  const conditions = []
  // Status and kind are literals, so that a plan that serves every value can use the indexes of some values.
  if (status !== undefined) conditions.push(sql<SqlBool>`principal.status = ${sql.lit(status)}`)
  if (kind !== undefined) conditions.push(sql<SqlBool>`principal.kind = ${sql.lit(kind)}`)
  if (type !== undefined) conditions.push(sql<SqlBool>`principal.type = ${type}`)
  if (capability !== undefined) conditions.push(sql<SqlBool>`principal.capabilities @> array[${capability}]::text[]`)
  if (name !== undefined) conditions.push(sql<SqlBool>`principal.name collate "C" = ${name}`)
  if (namePrefix !== undefined) {
    conditions.push(sql<SqlBool>`principal.name collate "C" >= ${namePrefix}`)
    conditions.push(sql<SqlBool>`principal.name collate "C" < ${namePrefix + LAST_CODE_POINT}`)
  }
  if (lastSeenBefore !== undefined) {
    conditions.push(sql<SqlBool>`principal.last_seen_at < ${new Date(lastSeenBefore)}`)
  }
  if (lastSeenAfter !== undefined) {
    conditions.push(sql<SqlBool>`principal.last_seen_at > ${new Date(lastSeenAfter)}`)
  }
  if (isRotationDue) {
    conditions.push(sql<SqlBool>`identity_key.status = 'ACTIVE' and identity_key.rotation_due_since is not null`)
  }
  return conditions
}

/** Devices of one organization by status. Those that are ACTIVE, nearly all, are what an index counts less the others. */
export async function countDevices(tx: Tx): Promise<Record<PrincipalStatus, number>> {
  const { rows } = await sql<{ status: PrincipalStatus | null; principals: number; coordinators: number }>`
    with coordinators as materialized (
      select status, count(*) as number from principal where kind = 'coordinator' group by status)
    select found.*, (select coalesce(sum(number), 0)::bigint from coordinators c
        where c.status = found.status or found.status is null) as coordinators
      from (select null::principal_status as status, count(*) as principals from principal
        union all select status, count(*) from principal where status in ('PENDING', 'QUARANTINED', 'SUSPENDED') group by status
        union all select 'REVOKED', count(*) from principal where status = 'REVOKED') as found`.execute(tx)
  const counts = { PENDING: 0, ACTIVE: 0, QUARANTINED: 0, SUSPENDED: 0, REVOKED: 0 }
  for (const { status, principals, coordinators } of rows) {
    const devices = principals - coordinators
    if (status === null) counts.ACTIVE += devices
    else {
      counts[status] = devices
      counts.ACTIVE -= devices
    }
  }
  return counts
}
