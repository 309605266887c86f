import type { Connection, PoolClient, Submittable } from 'pg'
import type { Statement } from './open.ts'
import { toParameter } from './parameters.ts'

export interface StatementResult {
  // oxlint-disable-next-line typescript/no-explicit-any -- as pg types its rows; each repository names their columns
  rows: Record<string, any>[]
}

export type TypeParser = (oid: number) => (text: string) => unknown

/**
 * Sends prepared statements behind one Sync, so that PostgreSQL runs them as one transaction and answers once (PostgreSQL
 * manual, "Pipelining" of the extended query protocol): all of them are committed when this resolves. When it rejects,
 * nothing is stored, unless the connection broke while the answer was under way. Where the connection does not keep what is
 * prepared for us, each statement is the unnamed one, parsed anew.
 */
export function runPipelined(
  client: PoolClient,
  statements: readonly Statement[],
  typeParser: TypeParser,
  keepsPrepared: boolean,
): Promise<StatementResult[]> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error, isPreparedUnsure: boolean): void => {
      if (!isPreparedUnsure) reject(error)
      else client.query('deallocate all', () => reject(error))
    }
    client.query(new PipelinedTransaction(statements, typeParser, keepsPrepared, resolve, fail))
  })
}

interface Column {
  name: string
  parse: (text: string) => unknown
}

/** What a connection has prepared, by name; columns are undefined until its first answer described them. */
const preparedOf = new WeakMap<Connection, Map<string, { text: string; columns: Column[] | undefined }>>()

/** The interface between pg's Client and a query, as pg-cursor uses it. */
class PipelinedTransaction implements Submittable {
  private readonly statements: readonly Statement[]
  private readonly typeParser: TypeParser
  private readonly keepsPrepared: boolean
  private readonly resolve: (results: StatementResult[]) => void
  private readonly reject: (error: Error, isPreparedUnsure: boolean) => void
  private prepared = new Map<string, { text: string; columns: Column[] | undefined }>()
  private hasPrepared = false
  /** Set by pg while it limits the time of a query; calling it ends the limit. */
  callback: (() => void) | undefined
  private readonly results: StatementResult[] = []
  private rows: StatementResult['rows'] = []

  constructor(
    statements: readonly Statement[],
    typeParser: TypeParser,
    keepsPrepared: boolean,
    resolve: (results: StatementResult[]) => void,
    reject: (error: Error, isPreparedUnsure: boolean) => void,
  ) {
    this.statements = statements
    this.typeParser = typeParser
    this.keepsPrepared = keepsPrepared
    this.resolve = resolve
    this.reject = reject
  }

  submit(connection: Connection): void {
    connection.stream.cork()
    try {
      if (this.keepsPrepared) this.submitPrepared(connection)
      else this.submitUnnamed(connection)
      connection.sync()
    } finally {
      connection.stream.uncork()
    }
  }

  private submitPrepared(connection: Connection): void {
    this.prepared = preparedOf.get(connection) ?? new Map()
    preparedOf.set(connection, this.prepared)
    // First of all: what fails later leaves the statements prepared.
    for (const statement of this.statements) this.prepare(connection, statement)
    for (const { name, values } of this.statements) {
      connection.bind({ statement: name, values: values.map(toParameter) }, true)
      if (this.prepared.get(name)?.columns === undefined) connection.describe({ type: 'P', name: '' }, true)
      connection.execute(null, true)
    }
  }

  private submitUnnamed(connection: Connection): void {
    for (const [index, { text, values }] of this.statements.entries()) {
      connection.parse({ name: '', text, types: [] }, true)
      connection.bind({ statement: '', values: values.map(toParameter) }, true)
      connection.describe({ type: 'P', name: '' }, true)
      connection.execute(null, true)
      this.prepared.set(this.keyOf(index), { text, columns: undefined })
    }
  }

  private prepare(connection: Connection, { name, text }: Statement): void {
    const known = this.prepared.get(name)
    if (known === undefined) {
      connection.parse({ name, text, types: [] }, true)
      this.prepared.set(name, { text, columns: undefined })
      this.hasPrepared = true
    } else if (known.text !== text) {
      throw new Error(`The statement ${name} has two texts.`)
    }
  }

  handleRowDescription({ fields }: { fields: { name: string; dataTypeID: number }[] }): void {
    const columns = fields.map(({ name, dataTypeID }) => ({ name, parse: this.typeParser(dataTypeID) }))
    const current = this.prepared.get(this.current())
    if (current !== undefined) current.columns = columns
  }

  handleDataRow({ fields }: { fields: (string | null)[] }): void {
    const columns = this.prepared.get(this.current())?.columns ?? []
    const row: Record<string, unknown> = {}
    for (const [index, { name, parse }] of columns.entries()) {
      const text = fields[index] ?? null
      row[name] = text === null ? null : parse(text)
    }
    this.rows.push(row)
  }

  handleCommandComplete(): void {
    const current = this.prepared.get(this.current())
    // A statement without rows describes itself by NoData, which pg does not pass on.
    if (current !== undefined) current.columns ??= []
    this.results.push({ rows: this.rows })
    this.rows = []
  }

  handleReadyForQuery(): void {
    this.callback?.()
    if (this.results.length === this.statements.length) this.resolve(this.results)
    else {
      const message = `PostgreSQL answered ${this.results.length} of ${this.statements.length} statements.`
      this.reject(new Error(message), false)
    }
  }

  handleError(error: Error): void {
    this.callback?.()
    // Behind a statement that could not be parsed the others were skipped: nobody knows which of them are prepared.
    const isPreparedUnsure = this.hasPrepared && this.results.length === 0
    if (isPreparedUnsure) this.prepared.clear()
    this.reject(error, isPreparedUnsure)
  }

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}

  private current(): string {
    return this.keyOf(this.results.length)
  }

  /** The same unnamed statement can come twice in a transaction. */
  private keyOf(index: number): string {
    return this.keepsPrepared ? (this.statements[index] as Statement).name : String(index)
  }
}
