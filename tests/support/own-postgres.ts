import { Client } from 'pg'
import { databaseRoles } from '../../database/connect-roles.ts'
import type { EmbeddedPostgres } from '../../database/embedded.ts'
import { createRoles, roles } from '../../database/roles.ts'

/** On a server that is somebody else's: the database `service`, and a login for each role, as docs/operations.md says. */
export async function prepareOwnPostgres(postgres: EmbeddedPostgres): Promise<void> {
  const { host, superuserPassword: password } = postgres
  const client = new Client({ host, user: 'postgres', password, database: 'postgres' })
  await client.connect()
  const { rows } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  const isOld = (rows[0]?.version ?? 0) < 160_000
  try {
    await (isOld ? createOldRoles(client) : createRoles(client))
    for (const role of [...databaseRoles, 'migrator']) {
      await client.query(`create role ${role}_login login password 'secret-of-${role}' in role qflare_${role}`)
    }
    await client.query('create database service owner qflare_owner')
  } finally {
    await client.end()
  }
  if (isOld) await ownPublicSchema(new Client({ host, user: 'postgres', password, database: 'service' }))
}

/** Of PostgreSQL 15, where a role inherits from all that it is a member of or from none. */
async function createOldRoles(client: Client): Promise<void> {
  for (const role of roles) await client.query(`create role ${role} nologin noinherit`)
  await client.query('grant qflare_owner to qflare_migrator')
  await client.query('grant qflare_jobs to qflare_owner')
}

/** Which the owner of the database would inherit. */
async function ownPublicSchema(client: Client): Promise<void> {
  await client.connect()
  try {
    await client.query('alter schema public owner to qflare_owner')
  } finally {
    await client.end()
  }
}

/** The service's settings for these logins. */
export function loginsOf(postgres: Pick<EmbeddedPostgres, 'host'>): Record<string, string> {
  const urlOfRole = (role: string) => urlOf(postgres, `${role}_login`, `secret-of-${role}`)
  return {
    DATABASE_URL: urlOfRole('api'),
    QFLARE_DATABASE_URL_AUDITOR: urlOfRole('auditor'),
    QFLARE_DATABASE_URL_WORKER: urlOfRole('worker'),
    QFLARE_DATABASE_URL_SEQUENCER: urlOfRole('sequencer'),
    QFLARE_DATABASE_URL_QUEUES: urlOfRole('queues'),
    QFLARE_DATABASE_URL_MIGRATOR: urlOfRole('migrator'),
  }
}

/** One URL in the place of all logins. */
export function everyLogin(url: string): Record<string, string> {
  return Object.fromEntries(Object.keys(loginsOf({ host: '' })).map((name) => [name, url]))
}

export function urlOf({ host }: Pick<EmbeddedPostgres, 'host'>, user: string, password: string): string {
  return `postgresql://${user}:${password}@/service?host=${encodeURIComponent(host)}`
}
