import { encode } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { listAuditKeys } from '../../protocol/log/audit-keys.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import { type TrustKey, trustBundle, verifyPinnedTrustBundle, type WireTrustBundle } from '../../protocol/trust.ts'
import { findProfileOf, type ProfileName, profiles } from '../profile.ts'
import type { KekUses } from './kek-uses.ts'
import { type Keyring, keyringPurposes, openKeyring, type WrappedKek } from './keyring.ts'
import { SealError, type SealedPlace, sealPurposes } from './sealed-record.ts'
import { createLocalSigner, type Signer } from './signer.ts'
import type { Wrapper } from './wrapper.ts'

/** Of every signature algorithm (FIPS 204, algorithm 1). */
const SEED_BYTES = 32

export interface ServiceKeys {
  /** `kid` of the root key, by its own sealed seed, or the sealed marker of one that is offline: what trust bundles are held against. */
  rootKid: string
  /** What the service was begun as, by the algorithm of its root key. */
  profile: ProfileName
  keyring: Keyring
  bucketSigner: Signer
  attestationSigner: Signer
  /** Signs the C2SP line of checkpoints, ML-DSA-44. */
  auditSigner: Signer
  /** Signs their second line, ML-DSA-87; undefined where the profile has none. */
  auditSigner87: Signer | undefined
  /** The keys of the log that the trust bundles name, retired ones too; empty where no bundles are given. */
  auditKeys: readonly TrustKey[]
}

/** As the database has them. */
export interface StoredServiceKeys {
  keks: readonly (Omit<WrappedKek, 'purpose'> & { purpose: number })[]
  /** Those that sign. */
  signingKeys: readonly SealedSigningKey[]
  /** All of them, in order. */
  trust?: readonly WireTrustBundle[]
}

export interface SealedSigningKey {
  kid: string
  use: TrustKey['use']
  alg: SignatureAlgorithm
  sealedSeed: Uint8Array
}

/** Where the seed of a signing key is sealed. */
export function signingKeyPlace(kid: string): SealedPlace {
  return { organizationId: NIL_UUID, table: 'signing_key', column: 'sealed_seed', primaryKey: encode(kid) }
}

/** Throws SealError when the seed is not the one that was sealed for this key. */
export async function openSigningKey(
  crypto: Primitives,
  keyring: Keyring,
  { kid, alg, sealedSeed }: Omit<SealedSigningKey, 'use'>,
): Promise<Signer> {
  const seed = await keyring.open('signingKey', signingKeyPlace(kid), sealedSeed)
  const signer = createLocalSigner(crypto, alg, seed)
  seed.fill(0)
  if (signer.keyId !== kid) throw new SealError(`The signing key ${kid} holds the seed of ${signer.keyId}.`)
  return signer
}

/** The root of trust; without a signer it is offline, and what it has to sign waits. */
export interface RootOfTrust {
  kid: string
  signer: Signer | undefined
}

/**
 * What stands in the place of the root's seed while that is offline, sealed at the same place: so its kid is still one that this
 * service made, and no writer of the database can put another there.
 */
export function sealOfflineRoot(keyring: Keyring, { kid, alg }: Pick<SealedSigningKey, 'kid' | 'alg'>): Uint8Array {
  return keyring.seal('signingKey', signingKeyPlace(kid), offlineMarker(kid, alg))
}

/** Longer than any seed. */
function offlineMarker(kid: string, alg: SignatureAlgorithm): Uint8Array {
  return encode('QFLARE-v1 root offline', kid, alg)
}

/** Throws SealError when it is neither the seed nor the marker that was sealed for this key. */
export async function openRootOfTrust(
  crypto: Primitives,
  keyring: Keyring,
  key: Omit<SealedSigningKey, 'use'>,
): Promise<RootOfTrust> {
  const { kid, alg } = key
  const opened = await keyring.open('signingKey', signingKeyPlace(kid), key.sealedSeed)
  const isOffline = crypto.equal(opened, offlineMarker(kid, alg))
  const isSeed = opened.length === SEED_BYTES
  opened.fill(0)
  if (isOffline) return { kid, signer: undefined }
  if (!isSeed) throw new SealError(`The root key ${kid} holds no seed, and no marker of ${alg}.`)
  return { kid, signer: await openSigningKey(crypto, keyring, key) }
}

/**
 * Opens what the database holds of the service's keys. Throws SealError when the root key does not open them, and the ProtocolError
 * `trust_invalid` for a trust bundle that the root of trust did not sign. `uses`: as `openKeyring`.
 */
export async function openServiceKeys(
  crypto: Primitives,
  wrapper: Wrapper,
  stored: StoredServiceKeys,
  uses?: Pick<KekUses, 'take'>,
): Promise<ServiceKeys> {
  const keks = stored.keks.map((kek) => {
    const purpose = keyringPurposes.find((name) => sealPurposes[name] === kek.purpose)
    if (purpose === undefined) throw new SealError(`Purpose ${kek.purpose} of a key-encryption key is not known.`)
    return { ...kek, purpose }
  })
  const keyring = await openKeyring(crypto, wrapper, keks, uses)

  const newest = stored.trust?.at(-1)
  function getRow(use: TrustKey['use'], alg: SignatureAlgorithm): SealedSigningKey {
    const row = stored.signingKeys.find((key) => key.use === use && key.alg === alg)
    if (row === undefined) throw new SealError(`There is no active signing key of ${alg} for ${use}.`)
    const isTrusted = newest?.keys.some((key) => key.kid === row.kid && key.use === use) ?? true
    if (!isTrusted) throw new SealError(`The trust bundle has no key ${row.kid} for ${use}: it was put in its place.`)
    return row
  }
  const openSigner = (use: TrustKey['use'], alg: SignatureAlgorithm) =>
    openSigningKey(crypto, keyring, getRow(use, alg))

  const profile = getProfileOf(stored.signingKeys)
  const { signing, audit } = profiles[profile]
  const rootKid = (await openRootOfTrust(crypto, keyring, getRow('root', signing))).kid
  const bundles = (stored.trust ?? []).map((bundle) =>
    verifyPinnedTrustBundle(crypto, trustBundle.parse(bundle), rootKid),
  )
  return {
    keyring,
    profile,
    rootKid,
    bucketSigner: await openSigner('bucket', signing),
    attestationSigner: await openSigner('attestation', signing),
    auditSigner: await openSigner('audit', 'ML-DSA-44'),
    auditSigner87: audit.some((alg) => alg === 'ML-DSA-87') ? await openSigner('audit', 'ML-DSA-87') : undefined,
    auditKeys: listAuditKeys(bundles),
  }
}

/** What a service with these keys was begun as. Throws SealError. */
export function getProfileOf(signingKeys: readonly { use: TrustKey['use']; alg: SignatureAlgorithm }[]): ProfileName {
  const root = signingKeys.find(({ use }) => use === 'root')
  if (root === undefined) throw new SealError('There is no active signing key for root.')
  const profile = findProfileOf(root.alg)
  if (profile === undefined) throw new SealError(`The root key is of ${root.alg}, which no profile signs with.`)
  return profile
}
