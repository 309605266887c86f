import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../database/embedded.ts'
import { loginsOf, prepareOwnPostgres } from './own-postgres.ts'
import { startTestRedis } from './redis.ts'
import { makeServiceFolder, removeServiceFolder } from './service-process.ts'

/** A PostgreSQL and a Redis for temporal keys, and what the processes that share them are given; all of it ends with the stack. */
export async function startOwnStores(stack: AsyncDisposableStack): Promise<{
  postgres: EmbeddedPostgres
  env: Record<string, string>
}> {
  const folder = await makeServiceFolder()
  stack.defer(() => removeServiceFolder(folder))
  const postgres = await startEmbeddedPostgres({ dataDirectory: folder, log: () => undefined })
  stack.defer(() => postgres.stop())
  await prepareOwnPostgres(postgres)
  const redis = await startTestRedis()
  stack.defer(() => redis.stop())
  const env = {
    ...loginsOf(postgres),
    QFLARE_TEMPORAL_REDIS_URL: redis.url,
    QFLARE_CHECKPOINT_FILE: join(folder, 'audit-checkpoint'),
    QFLARE_ROOT_KEY: randomBytes(32).toString('hex'),
  }
  return { postgres, env }
}
