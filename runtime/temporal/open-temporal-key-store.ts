import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import type { Logger } from '../logger.ts'
import { openRedis, waitForRedis } from '../redis.ts'
import { openFileTemporalKeyStore } from './file-temporal-key-store.ts'
import { openRedisTemporalKeyStore } from './redis-temporal-key-store.ts'
import { listTemporalHomes, temporalKeyFolder } from './temporal-key-folder.ts'
import type { TemporalKeyStore } from './temporal-key-store.ts'

type StoreConfig = Pick<Config, 'temporalRedisUrl' | 'dataDirectory' | 'database'>

/**
 * The store that the configuration names, with the keys of one root of trust: what begins anew at the same place must not find
 * the old one's. The caller holds the database for it. The stack closes what was opened. Throws RedisError.
 */
export async function openTemporalKeyStore(
  config: StoreConfig,
  rootKid: string,
  logger: Logger,
  stack: AsyncDisposableStack,
): Promise<TemporalKeyStore> {
  const { temporalRedisUrl: url, dataDirectory } = config
  if (url === undefined) {
    const folder = join(await temporalKeyFolder(dataDirectory), rootKid)
    const store = await openFileTemporalKeyStore(folder)
    logger.info(`temporal keys are kept in ${folder}`)
    await destroyOtherHomes(config, logger, { own: folder })
    return store
  }
  const redis = openRedis({ url, name: 'temporal keys', logger, wipes: true })
  stack.defer(() => redis.disconnect())
  await waitForRedis(redis, 'temporal keys')
  const store = await openRedisTemporalKeyStore(redis, rootKid)
  logger.info(`temporal keys are kept in Redis at ${new URL(url).host}`)
  await destroyOtherHomes(config, logger, { leftOf: rootKid })
  return store
}

/**
 * Folders of keys that this process does not use; nobody else would ever destroy them. `leftOf`: those of this root of trust are
 * of a time before Redis, and the database is held against whoever keeps keys in files. Of other roots of trust, with
 * DATABASE_URL, nobody holds the data folder: they may be of a service that runs.
 */
async function destroyOtherHomes(
  { database, dataDirectory }: StoreConfig,
  logger: Logger,
  ours: { own: string } | { leftOf: string },
): Promise<void> {
  for (const home of await listTemporalHomes(dataDirectory)) {
    if ('own' in ours && home === ours.own) continue
    const isLeft = 'leftOf' in ours && home.endsWith(`/${ours.leftOf}`)
    const isDestroyed = database === undefined || isLeft
    if (isDestroyed) await rm(home, { recursive: true, force: true })
    const what = isDestroyed ? 'were destroyed' : 'are still there; remove them if no service uses them'
    logger.warn(`temporal keys ${isLeft ? 'from before Redis' : 'of another root of trust'} ${what}: ${home}`)
  }
}
