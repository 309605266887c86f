import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type Client, DatabaseError } from 'pg'
import type { TenantRole, Tenants, TenantTable } from './row-level-security.ts'
import { insertStatement, makeTenantRows, type Row } from './tenant-rows.ts'

/** How a statement can end; `organizations`: of the rows that it returned. */
type Outcome = { count: number; organizations: string[] } | { refused: string } | { changed: 'rows of B' }

interface Actor {
  role: string
  organizationId: string
  rowSecurity?: 'off'
}

interface Statement {
  text: string
  values?: unknown[]
}

/**
 * Everything that one role can do wrong with one table, by doing it, each in a savepoint of its own; empty when all is well.
 * The role gets every right on the table, and its triggers are off, so that nothing but the policies stands in the way. The client is a superuser's,
 * in a transaction that the caller rolls back.
 */
export async function findLeaks(
  client: Client,
  { name: table, tenantColumn: column }: TenantTable,
  role: TenantRole,
  { a, b, rowsOfB }: Tenants,
): Promise<string[]> {
  const row = rowsOfB[table]
  if (row === undefined) return [`${table}: has no row in tests/support/tenant-rows.ts`]
  await client.query(`grant select, insert, update, delete on ${table} to ${role}`)
  // What is append-only would refuse everything before the policies are asked.
  await client.query(`alter table ${table} disable trigger user`)
  const problems: string[] = []
  const hashOfB = async () => {
    const text = `select md5(string_agg(t::text, ',' order by t::text)) as hash from ${table} t where ${column} = $1`
    return (await client.query<{ hash: string | null }>(text, [b])).rows[0]?.hash
  }
  const before = await hashOfB()
  async function check(actor: Actor, statement: Statement, ...allowed: Outcome[]): Promise<void> {
    const outcome = await attempt(client, actor, statement, async () => (await hashOfB()) === before)
    if (allowed.some((one) => isDeepStrictEqual(one, outcome))) return
    problems.push(`${table}: ${actor.role} of ${actor.organizationId}: ${statement.text}: ${JSON.stringify(outcome)}`)
  }

  const c = randomUUID()
  const rowsOfC = makeTenantRows(c)
  const rowOfC = rowsOfC[table] as Row
  const newRowOfB = makeTenantRows(b)[table] as Row
  const select = `select ${column} as organization from ${table}`
  const back = `returning ${column} as organization`
  const touch = `update ${table} set ${column} = ${column}`
  const mergeWith = (organization: string) =>
    `merge into ${table} t using (values ('${organization}'::uuid)) as s (o) on t.${column} = s.o`
  const own = { count: 1, organizations: [a] }
  const nothing = { count: 0, organizations: [] }
  const refused = { refused: INSUFFICIENT_PRIVILEGE }
  const isReferredTo = { refused: FOREIGN_KEY_VIOLATION }
  const asA = { role, organizationId: a }
  const asNobody = { role, organizationId: '' }

  await check(asA, { text: select }, own)
  await check(asA, { text: `${select} where ${column} = '${b}'` }, nothing)
  await check(asA, { text: `${select} for update` }, own)
  await check(asA, { text: `${touch} ${back}` }, own)
  await check(asA, { text: `${touch} returning old.${column} as organization` }, own)
  await check(asA, { text: `${touch} where ${column} = '${b}' ${back}` }, nothing)
  await check(asA, { text: `update ${table} set ${column} = '${b}' where ${column} = '${a}' ${back}` }, refused)
  await check(asA, { text: `delete from ${table} where ${column} = '${b}' ${back}` }, nothing)
  await check(asA, { text: `delete from ${table} ${back}` }, own, isReferredTo)
  await check(asA, insertStatement(table, newRowOfB, back), refused)
  await check(asA, insertStatement(table, row, `on conflict do nothing ${back}`), refused)
  for (const target of await listConflictTargets(client, table)) {
    const overwrite = `on conflict ${target} do update set ${column} = excluded.${column}`
    await check(asA, insertStatement(table, row, `${overwrite} ${back}`), refused)
    // a parent that A does not have, or a key that B has: whatever comes of it, it does not come to B
    const disguised = insertStatement(table, { ...row, [column]: a }, `${overwrite} ${back}`)
    await check(asA, disguised, own, refused, isReferredTo)
  }
  await check(asA, { text: `${mergeWith(b)} when matched then update set ${column} = s.o` }, nothing)
  await check(asA, { text: `${mergeWith(b)} when matched then delete` }, nothing)
  await check(asA, { text: `${mergeWith(a)} when matched then update set ${column} = '${b}'` }, refused)
  const { text: insertion, values } = insertStatement(table, newRowOfB)
  const merged = insertion.replace(/^insert into \S+ /, 'insert ')
  await check(asA, { text: `${mergeWith(b)} when not matched then ${merged}`, values }, refused)
  await check(
    asA,
    { text: `${mergeWith(c)} when not matched by source then delete` },
    { ...own, organizations: [] },
    isReferredTo,
  )
  await check(asA, { text: `copy (${select}) to stdout` }, { count: 1, organizations: [] })
  await check(asA, { text: `copy ${table} from stdin` }, { refused: FEATURE_NOT_SUPPORTED })
  await check({ ...asA, rowSecurity: 'off' }, { text: select }, refused)

  await check(asNobody, { text: select }, nothing)
  await check(asNobody, insertStatement(table, rowOfC), refused)
  await check(asNobody, { text: `${touch} ${back}` }, nothing)
  await check(asNobody, { text: `delete from ${table} ${back}` }, nothing)
  await check({ role: 'qflare_owner', organizationId: '' }, { text: select }, nothing)

  for (const [parent, parentRow] of Object.entries(rowsOfC)) {
    if (parent === table) break
    await client.query(insertStatement(parent, parentRow))
  }
  const insert = insertStatement(table, rowOfC, back)
  await check({ role, organizationId: c }, insert, { count: 1, organizations: [c] })
  return problems
}

const INSUFFICIENT_PRIVILEGE = '42501'
const FOREIGN_KEY_VIOLATION = '23503'
const FEATURE_NOT_SUPPORTED = '0A000'

/** What an upsert may name: each unique index, with its expressions and its condition. */
async function listConflictTargets(client: Client, table: string): Promise<string[]> {
  const { rows } = await client.query<{ target: string }>(
    `select concat('(', (select string_agg(pg_get_indexdef(indexrelid, n, false), ', ') from generate_series(1, indnkeyatts) n),
        ')', ' where ' || pg_get_expr(indpred, indrelid)) as target
      from pg_index where indrelid = $1::regclass and indisunique`,
    [table],
  )
  return rows.map(({ target }) => target)
}

/** One statement as somebody else, in a savepoint; nothing of it stays. */
async function attempt(
  client: Client,
  { role, organizationId, rowSecurity }: Actor,
  statement: Statement,
  isUnchanged: () => Promise<boolean>,
): Promise<Outcome> {
  await client.query('savepoint attempt')
  try {
    await client.query(`select set_config('qflare.organization_id', $1, true)`, [organizationId])
    await client.query(`set local role ${role}`)
    if (rowSecurity !== undefined) await client.query(`set local row_security = ${rowSecurity}`)
    const { rows, rowCount } = await client.query<{ organization: string }>(statement)
    await client.query('reset role')
    if (!(await isUnchanged())) return { changed: 'rows of B' }
    return { count: rowCount ?? 0, organizations: [...new Set(rows.map(({ organization }) => organization))] }
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    return { refused: error.code ?? '' }
  } finally {
    await client.query('rollback to savepoint attempt')
  }
}
