import { DatabaseError } from '../database/errors.ts'
import type { Database } from '../database/open.ts'
import { listAllTrustBundles, listKeks, listTrustBundles, readKeyState } from '../database/repositories/service-keys.ts'
import { listActiveSigningKeys } from '../database/repositories/signing-keys.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import type { Clock } from '../runtime/clock.ts'
import { type Config, ConfigError } from '../runtime/config.ts'
import { followServiceKeys, type LiveServiceKeys } from '../runtime/custody/live-service-keys.ts'
import { createRootKeyWrapper, type Wrapper } from '../runtime/custody/wrapper.ts'
import type { Logger } from '../runtime/logger.ts'
import { loadRootKey } from '../runtime/secrets.ts'
import { initializeKeys } from './initialize-service.ts'
import { createReserveKekUses } from './reserve-kek-uses.ts'

/**
 * The service's keys, made where there are none and this process may make them, and followed from then on. Throws ConfigError,
 * SealError, DatabaseError `refused` where there are none yet, and the ProtocolError `trust_invalid`.
 */
export async function openLiveServiceKeys(
  parts: {
    database: Database
    crypto: Primitives
    clock: Pick<Clock, 'now'>
    writeEvent: WriteEvent
    logger: Logger
  },
  options: { config: Config; env: Record<string, string | undefined>; mayMake: boolean },
): Promise<{ wrapper: Wrapper; serviceKeys: LiveServiceKeys }> {
  const { database, crypto, clock, writeEvent, logger } = parts
  const { config, env, mayMake } = options
  const { dataDirectory, trustDomain } = config
  const keks = await database.withoutOrganization(listKeks)
  const isEmbedded = config.database === undefined
  const rootKey = await loadRootKey({ env, dataDirectory, isEmbedded, mayMake: mayMake && keks.length === 0 })
  const wrapper = createRootKeyWrapper(crypto, rootKey)
  if (mayMake) await initializeKeys({ database, wrapper, crypto, writeEvent }, config, clock.now())
  const [first] = await database.withoutOrganization((tx) => listTrustBundles(tx, 0, 1))
  if (first === undefined) {
    throw new DatabaseError('refused', 'The database has no keys yet: start a process with the role worker first.')
  }
  if (first.trustDomain !== trustDomain) {
    throw new ConfigError([
      `QFLARE_TRUST_DOMAIN: is ${trustDomain}, but this service was begun as ${first.trustDomain}, which its devices know it by.`,
    ])
  }
  const serviceKeys = await followServiceKeys({
    crypto,
    wrapper,
    logger,
    readState: () => database.withoutOrganization(readKeyState),
    readKeys: () => readServiceKeys(database),
    // What is counted are challenges, which the API gives.
    reserveUses: config.roles.includes('api') ? createReserveKekUses(parts) : undefined,
  })
  if (serviceKeys.profile === config.profile) return { wrapper, serviceKeys }
  serviceKeys.close()
  throw new ConfigError([
    `QFLARE_PROFILE: is ${config.profile}, but this service was begun as ${serviceKeys.profile}, and its keys are made for` +
      ` that. Set QFLARE_PROFILE=${serviceKeys.profile}; another profile takes a new service in an empty QFLARE_DATA_DIR.`,
  ])
}

/** What is sealed before what it is sealed under: a key-encryption key that is made meanwhile is in it. */
export function readServiceKeys(database: Database) {
  return database.withoutOrganization(async (tx) => ({
    signingKeys: await listActiveSigningKeys(tx),
    keks: await listKeks(tx),
    trust: await listAllTrustBundles(tx),
  }))
}
