import type { Tx } from '../database/open.ts'
import { findSealedSeed, lockKeyRotation } from '../database/repositories/signing-keys.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { openRootOfTrust, type RootOfTrust, type SealedSigningKey } from '../runtime/custody/service-keys.ts'
import type { Custody } from './open-custody.ts'
import { OperationError } from './operation-error.ts'

/** The root of trust as it is stored until the transaction ends: no rotation and no other operation changes it meanwhile. */
export async function lockRootOfTrust(
  tx: Tx,
  crypto: Primitives,
  { stored, serviceKeys }: Custody,
): Promise<RootOfTrust & Omit<SealedSigningKey, 'use'>> {
  await lockKeyRotation(tx)
  const { rootKid: kid, keyring } = serviceKeys
  const alg = stored.signingKeys.find((key) => key.kid === kid)?.alg
  const sealedSeed = await findSealedSeed(tx, kid)
  if (alg === undefined || sealedSeed === undefined) {
    throw new OperationError('no_database', 'The database has no root of trust.')
  }
  return { alg, sealedSeed, ...(await openRootOfTrust(crypto, keyring, { kid, alg, sealedSeed })) }
}
