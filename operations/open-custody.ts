import type { Database } from '../database/open.ts'
import { listAllTrustBundles, listKeks } from '../database/repositories/service-keys.ts'
import { listActiveSigningKeys } from '../database/repositories/signing-keys.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { type TrustBundle, trustBundle, verifyPinnedTrustBundle } from '../protocol/trust.ts'
import type { Config } from '../runtime/config.ts'
import { openServiceKeys, type ServiceKeys } from '../runtime/custody/service-keys.ts'
import { createRootKeyWrapper } from '../runtime/custody/wrapper.ts'
import { loadRootKey } from '../runtime/secrets.ts'
import type { Environment } from './define-operation.ts'
import { OperationError } from './operation-error.ts'

export interface Custody {
  rootKey: Uint8Array
  serviceKeys: ServiceKeys
  stored: StoredKeys
  /** The newest. */
  trust: TrustBundle
}

export type StoredKeys = Awaited<ReturnType<typeof readStoredKeys>>

export async function readStoredKeys(database: Database) {
  return database.withoutOrganization(async (tx) => ({
    keks: await listKeks(tx),
    signingKeys: await listActiveSigningKeys(tx),
    trust: await listAllTrustBundles(tx),
  }))
}

/**
 * The service's keys, by the root key of this machine's settings: shows that root key and database belong together. Throws
 * ConfigError (no root key, or others may read it), SealError (not this database's), ProtocolError `trust_invalid`.
 */
export async function openCustody(
  parts: { database: Database; crypto: Primitives; env: Environment; config: Config },
  stored?: StoredKeys,
): Promise<Custody> {
  const { crypto, env, config } = parts
  const keys = stored ?? (await readStoredKeys(parts.database))
  const newest = keys.trust.at(-1)
  if (newest === undefined) {
    throw new OperationError('no_database', 'The database has no keys yet: the service was never started on it.')
  }
  const isEmbedded = config.database === undefined
  const rootKey = await loadRootKey({ env, dataDirectory: config.dataDirectory, isEmbedded, mayMake: false })
  const serviceKeys = await openServiceKeys(crypto, createRootKeyWrapper(crypto, rootKey), keys)
  const trust = verifyPinnedTrustBundle(crypto, trustBundle.parse(newest), serviceKeys.rootKid)
  return { rootKey, serviceKeys, stored: keys, trust }
}
