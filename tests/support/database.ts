import { randomUUID } from 'node:crypto'
import { Client, type ClientConfig } from 'pg'
import { inject } from 'vitest'
import type { DatabaseRole } from '../../database/connect-roles.ts'
import { type Database, openDatabase } from '../../database/open.ts'
import { TEMPLATE_DATABASE } from './global-setup.ts'

export interface TestDatabase {
  login: ClientConfig
  superuser: ClientConfig
  /** For a look behind the API. */
  sql: Client
  open(role: `qflare_${DatabaseRole}`, maxConnections?: number): Database
  drop(): Promise<void>
}

/** A fresh database of the real server, cloned from the migrated template. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const { host, port, superuserPassword, loginPassword } = inject('postgres')
  const database = `test_${randomUUID().replaceAll('-', '')}`
  const admin = { host, port, user: 'postgres', password: superuserPassword }
  await runAlone(
    { ...admin, database: 'postgres' },
    `create database ${database} template ${TEMPLATE_DATABASE} owner qflare_owner`,
  )
  const superuser = { ...admin, database }
  const login = { host, port, user: 'qflare', password: loginPassword, database }
  const sql = new Client(superuser)
  await sql.connect()
  const opened: Database[] = []
  return {
    login,
    superuser,
    sql,
    open(role, maxConnections = 10) {
      const opening = openDatabase({ connection: login, role, maxConnections, onConnectionLost: () => {} })
      opened.push(opening)
      return opening
    },
    async drop() {
      for (const database of opened) await database.close()
      await sql.end()
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
