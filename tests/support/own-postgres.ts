import { Client } from 'pg'
import { databaseRoles } from '../../database/connect-roles.ts'
import type { EmbeddedPostgres } from '../../database/embedded.ts'
import { createRoles } from '../../database/roles.ts'

/** On a server that is somebody else's: the database `service`, and a login for each role. */
export async function prepareOwnPostgres(postgres: EmbeddedPostgres): Promise<void> {
  const { host, superuserPassword: password } = postgres
  const client = new Client({ host, user: 'postgres', password, database: 'postgres' })
  await client.connect()
  try {
    await createRoles(client)
    for (const role of [...databaseRoles, 'migrator']) {
      await client.query(`create role ${role}_login login password 'secret-of-${role}' in role qflare_${role}`)
    }
    await client.query('create database service owner qflare_owner')
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
