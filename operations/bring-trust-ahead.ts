import type { Tx } from '../database/open.ts'
import { findNewestTrustBundle, insertTrustBundle, listKeks } from '../database/repositories/service-keys.ts'
import { listActiveSigningKeys } from '../database/repositories/signing-keys.ts'
import { findTrustDraft, putTrustDraft } from '../database/repositories/trust-drafts.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { trustBundle, verifyPinnedTrustBundle } from '../protocol/trust.ts'
import { openRootOfTrust, openServiceKeys } from '../runtime/custody/service-keys.ts'
import { signTrustBundle } from '../runtime/custody/sign-trust-bundle.ts'
import type { Signer } from '../runtime/custody/signer.ts'
import { createRootKeyWrapper } from '../runtime/custody/wrapper.ts'
import type { RotationTimes } from '../runtime/rotation-setting.ts'
import { OperationError } from './operation-error.ts'
import { wrongRootFile } from './root-file.ts'

/** A succession of keys takes three bundles at most: with the successor, with the end of the old key, and without it. */
const BUNDLES_OF_ROTATION = 3
/** For keys that rotated faster than they are set to now. */
const MARGIN = 6

/** How many bundles a service may have given out since a time. */
export function countBundlesSince({ signingKeyAge }: RotationTimes, elapsedMs: number): number {
  const rotations = [signingKeyAge.bucket, signingKeyAge.audit].map((age) => 1 + Math.floor(elapsedMs / age))
  return MARGIN + rotations.reduce((sum, count) => sum + count * BUNDLES_OF_ROTATION, 0)
}

/**
 * A device that followed bundles which a restored database has forgotten waits for one beyond them, and its bundle may no longer have
 * the keys of then. So the keys of the restored database go out again, in so many bundles that every device finds one that follows
 * its own. `rootFile`: of a root of trust that is offline. A draft that waits then follows the newest of them. Returns the newest sequence.
 * Throws `root_offline`, `root_file_wrong`, SealError and `trust_invalid`.
 */
export async function bringTrustAhead(
  tx: Tx,
  { crypto, rootKey, rootFile }: { crypto: Primitives; rootKey: Uint8Array; rootFile?: Signer | undefined },
  count: number,
  now: number,
): Promise<number> {
  const signingKeys = await listActiveSigningKeys(tx)
  const stored = { signingKeys, keks: await listKeks(tx) }
  const { keyring, rootKid } = await openServiceKeys(crypto, createRootKeyWrapper(crypto, rootKey), stored)
  const newest = await findNewestTrustBundle(tx)
  const sealedRoot = signingKeys.find(({ kid }) => kid === rootKid)
  if (newest === undefined || sealedRoot === undefined) {
    throw new OperationError('no_database', 'The database has no keys: the service was never started on it.')
  }
  const { signer } = await openRootOfTrust(crypto, keyring, sealedRoot)
  const root = signer ?? rootFile
  if (root === undefined) {
    throw new OperationError(
      'root_offline',
      'The root of trust is offline, and only it signs trust bundles: bring its file, and name it with --root-file FILE.',
    )
  }
  if (root.keyId !== rootKid) throw wrongRootFile(root.keyId, rootKid)
  const { trustDomain, keys, sequence } = verifyPinnedTrustBundle(crypto, trustBundle.parse(newest), rootKid)
  for (let next = sequence + 1; next <= sequence + count; next++) {
    await insertTrustBundle(tx, next, await signTrustBundle(root, { trustDomain, keys, sequence: next }), now)
  }
  const draft = await findTrustDraft(tx)
  if (draft !== undefined) {
    await putTrustDraft(tx, { ...draft, body: { ...draft.body, sequence: sequence + count + 1 } }, now)
  }
  return sequence + count
}
