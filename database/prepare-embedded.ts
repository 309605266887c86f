import { randomBytes } from 'node:crypto'
import { Client, type ClientConfig } from 'pg'
import type { EmbeddedPostgres } from './embedded.ts'
import { createRoles } from './roles.ts'

/** The one login of the embedded mode. It inherits nothing: each connection takes the role that it works as. */
const LOGIN = 'qflare'
export const EMBEDDED_DATABASE = 'qflare'

export interface EmbeddedConnections {
  /** For pools; the role is set on every connection. */
  login: ClientConfig
  /** For migrations only. */
  superuser: ClientConfig
}

/** Roles, the database and the login of an embedded server; safe to repeat. The login's password is new at each start. */
export async function prepareEmbedded(
  postgres: EmbeddedPostgres,
  database = EMBEDDED_DATABASE,
): Promise<EmbeddedConnections> {
  const { host, port } = postgres
  const superuser = { host, port, user: 'postgres', password: postgres.superuserPassword }
  const password = randomBytes(32).toString('base64url')
  const client = new Client({ ...superuser, database: 'postgres' })
  await client.connect()
  try {
    await createRoles(client)
    await client.query(`do $$ begin create role ${LOGIN}; exception when duplicate_object then null; end $$`)
    // A role's password cannot be a parameter; this one is base64url.
    await client.query(`alter role ${LOGIN} login nosuperuser noinherit nobypassrls password '${password}'`)
    await client.query(
      `grant qflare_api, qflare_worker, qflare_sequencer, qflare_auditor, qflare_queues to ${LOGIN} with inherit false`,
    )
    const { rowCount } = await client.query('select from pg_database where datname = $1', [database])
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(database)} owner qflare_owner`)
  } finally {
    await client.end()
  }
  return {
    login: { host, port, user: LOGIN, password, database },
    superuser: { ...superuser, database },
  }
}
