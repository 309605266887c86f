import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '../../database/embedded.ts'
import { migrate } from '../../database/migrate.ts'
import { prepareEmbedded } from '../../database/prepare-embedded.ts'

declare module 'vitest' {
  interface ProvidedContext {
    postgres: { host: string; port: number; superuserPassword: string; loginPassword: string }
  }
}

export const TEMPLATE_DATABASE = 'qflare_template'

/** One real PostgreSQL for all files; each file clones the migrated template. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'qflare-tests-'))
  // PostgreSQL runs as another user when the tests run as root.
  await chmod(dataDirectory, 0o711)
  const postgres = await startEmbeddedPostgres({
    dataDirectory,
    log: () => {},
    settings: { max_connections: '300' },
  })
  const { login, superuser } = await prepareEmbedded(postgres, TEMPLATE_DATABASE)
  await migrate(superuser)
  const client = new Client(superuser)
  await client.connect()
  await client.query(`alter database ${TEMPLATE_DATABASE} is_template true`)
  await client.end()
  project.provide('postgres', {
    host: postgres.host,
    port: postgres.port,
    superuserPassword: postgres.superuserPassword,
    loginPassword: login.password as string,
  })
  return async () => {
    await postgres.stop()
    await rm(dataDirectory, { recursive: true, force: true })
  }
}
