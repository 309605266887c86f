import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely'
import { type Pool, DatabaseError as PostgresError } from 'pg'
import type { Tables } from './tables.ts'

/** Runs `work` as a step of the trace that it is called in: see runtime/tracing/. */
export type TraceStep = <T>(
  describe: () => [name: string, attributes: Record<string, string>],
  work: () => Promise<T>,
) => Promise<T>

/** What each of its steps says. */
export const postgresql = { 'db.system.name': 'postgresql' }

interface NamedText {
  text: string
  name?: string
}

/** Control of a transaction is nothing to prepare. */
export function nameStatements(): (text: string, values: readonly unknown[]) => NamedText {
  const names = new Map<string, string>()
  return (text, values) => {
    if (values.length === 0) return { text }
    const name = names.get(text) ?? `kysely_${names.size}`
    names.set(text, name)
    return { text, name }
  }
}

/**
 * Kysely gives every connection back as a good one. What left a query without an answer is none: whatever is asked next, the
 * rollback first of all, would wait behind it. Nor is one whose prepared statements no longer fit.
 */
export function openKysely(
  pool: Pool,
  toText: (text: string, values: readonly unknown[]) => NamedText,
  trace: TraceStep,
): Kysely<Tables> {
  async function connect() {
    const client = await pool.connect()
    let isBad = false
    async function query(text: string, values: unknown[]) {
      try {
        return await trace(
          () => [summarize(text), { ...postgresql, 'db.query.text': text }],
          () => client.query({ ...toText(text, values), values }),
        )
      } catch (error) {
        if (error instanceof Error && error.message === 'Query read timeout') {
          isBad = true
          client.end().catch(() => {})
        }
        if (error instanceof PostgresError && !arePreparedGood(error)) isBad = true
        throw error
      }
    }
    // Its overload for cursors is not used here.
    return { query, release: () => client.release(isBad) } as unknown as PostgresPoolClient
  }
  const lent: PostgresPool = { options: pool.options, end: () => pool.end(), connect }
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: lent }) })
}

/** What a connection has prepared may no longer fit the schema, or be gone: every next use would fail alike. */
export function arePreparedGood({ code }: PostgresError): boolean {
  return code !== '0A000' && code !== '26000'
}

/** Its first word, and the first table that it names. */
function summarize(text: string): string {
  const [, operation = 'statement'] = /^\s*([a-z]+)/i.exec(text) ?? []
  const [, table] = /\b(?:from|into|update)\s+"?(\w+)/i.exec(text) ?? []
  return table === undefined ? operation : `${operation} ${table}`
}
