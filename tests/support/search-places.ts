import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client, type ClientConfig } from 'pg'
import { type ByteSearch, type Canary, createByteSearch } from './byte-search.ts'
import { searchProcess } from './process-memory.ts'

/** Of a process of Node, and of a Redis, whatever it does. */
const LEAST_MEMORY_BYTES = 2 << 20

/** All writable memory of a process, which stands still meanwhile. */
export function searchMemory(processId: number, canaries: readonly Canary[]): ByteSearch {
  const search = createByteSearch(canaries)
  const total = searchProcess(processId, search)
  if (total < LEAST_MEMORY_BYTES) throw new Error(`of process ${processId} no more than ${total} bytes were read`)
  return search
}

export function searchText(text: string, canaries: readonly Canary[]): ByteSearch {
  const search = createByteSearch(canaries)
  search.push(Buffer.from(text))
  return search
}

/** Every column of every row of every table. */
export async function searchTables(superuser: ClientConfig, canaries: readonly Canary[]): Promise<ByteSearch> {
  const search = createByteSearch(canaries)
  await withSql(superuser, async (sql) => {
    const { rows } = await sql.query<{ name: string }>(
      `select oid::regclass::text as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
    )
    for (const { name } of rows) {
      search.cut(name)
      const table = await sql.query<{ text: string }>(`select t::text as text from only ${name} t`)
      for (const { text } of table.rows) search.push(Buffer.from(`${text}\n`))
    }
  })
  return search
}

/** Of the database, with its write-ahead log, after what the server holds in memory went there too. */
export async function searchDatabaseFiles(superuser: ClientConfig, canaries: readonly Canary[]): Promise<ByteSearch> {
  const { rows } = await withSql(superuser, async (sql) => {
    await sql.query('checkpoint')
    return sql.query<{ path: string }>(`select current_setting('data_directory') as path`)
  })
  return searchFiles(
    rows.map(({ path }) => path),
    canaries,
  )
}

export async function searchFiles(folders: readonly string[], canaries: readonly Canary[]): Promise<ByteSearch> {
  const search = createByteSearch(canaries)
  for (const path of folders) {
    for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      search.cut(join(entry.parentPath, entry.name))
      search.push(await readFile(join(entry.parentPath, entry.name)))
    }
  }
  return search
}

export async function withSql<T>(superuser: ClientConfig, use: (sql: Client) => Promise<T>): Promise<T> {
  const sql = new Client(superuser)
  await sql.connect()
  try {
    return await use(sql)
  } finally {
    await sql.end()
  }
}
