import { randomUUID } from 'node:crypto'
import { Client, type ClientConfig } from 'pg'
import { inject } from 'vitest'
import type { DatabaseRole } from '../../database/connect-roles.ts'
import { type Database, openDatabase } from '../../database/open.ts'
import { TEMPLATE_DATABASE } from './global-setup.ts'

export interface TestDatabase {
  name: string
  login: ClientConfig
  superuser: ClientConfig
  /** For a look behind the API. */
  sql: Client
  open(role: `qflare_${DatabaseRole}`, maxConnections?: number): Database
  /** Closes every connection: only then can it be a template. */
  disconnect(): Promise<void>
  drop(): Promise<void>
}

/** A fresh database of the real server, cloned from the migrated template or from another one that nobody is connected to. */
export async function createTestDatabase(template = TEMPLATE_DATABASE): Promise<TestDatabase> {
  const { host, port, superuserPassword, loginPassword } = inject('postgres')
  const database = `test_${randomUUID().replaceAll('-', '')}`
  const admin = { host, port, user: 'postgres', password: superuserPassword }
  await runAlone(
    { ...admin, database: 'postgres' },
    `create database ${database} template ${template} owner qflare_owner`,
  )
  const superuser = { ...admin, database }
  const login = { host, port, user: 'qflare', password: loginPassword, database }
  const sql = new Client(superuser)
  await sql.connect()
  // As migrating does: what a database grants is not cloned with it.
  await sql.query(`revoke temporary on database ${database} from public`)
  const opened: Database[] = []
  async function disconnect(): Promise<void> {
    for (const database of opened.splice(0)) await database.close()
    await sql.end()
  }
  return {
    name: database,
    login,
    superuser,
    sql,
    open(role, maxConnections = 10) {
      const opening = openDatabase({ connection: login, role, maxConnections, onConnectionLost: () => {} })
      opened.push(opening)
      return opening
    },
    disconnect,
    async drop() {
      await disconnect()
      await runAlone({ ...admin, database: 'postgres' }, `drop database ${database} with (force)`)
    },
  }
}

async function runAlone(connection: ClientConfig, statement: string): Promise<void> {
  const client = new Client(connection)
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
