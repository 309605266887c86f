import { encode } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { TrustKey } from '../../protocol/trust.ts'
import { findProfileOf, type ProfileName, profiles } from '../profile.ts'
import { type Keyring, keyringPurposes, openKeyring, type WrappedKek } from './keyring.ts'
import { SealError, type SealedPlace, sealPurposes } from './sealed-record.ts'
import { createLocalSigner, type Signer } from './signer.ts'
import type { Wrapper } from './wrapper.ts'

export interface ServiceKeys {
  /** `kid` of the root key, by its own sealed seed: what trust bundles are held against. */
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
}

/** Where the seed of a signing key is sealed. */
export function signingKeyPlace(kid: string): SealedPlace {
  return { organizationId: NIL_UUID, table: 'signing_key', column: 'sealed_seed', primaryKey: encode(kid) }
}

/** Opens what the database holds of the service's keys. Throws SealError when the root key does not open them. */
export async function openServiceKeys(
  crypto: Primitives,
  wrapper: Wrapper,
  stored: {
    keks: readonly (Omit<WrappedKek, 'purpose'> & { purpose: number })[]
    signingKeys: readonly { kid: string; use: TrustKey['use']; alg: SignatureAlgorithm; sealedSeed: Uint8Array }[]
  },
): Promise<ServiceKeys> {
  const keks = stored.keks.map((kek) => {
    const purpose = keyringPurposes.find((name) => sealPurposes[name] === kek.purpose)
    if (purpose === undefined) throw new SealError(`Purpose ${kek.purpose} of a key-encryption key is not known.`)
    return { ...kek, purpose }
  })
  const keyring = await openKeyring(crypto, wrapper, keks)

  function openSigner(use: TrustKey['use'], alg: SignatureAlgorithm): Signer {
    const row = stored.signingKeys.find((key) => key.use === use && key.alg === alg)
    if (row === undefined) throw new SealError(`There is no active signing key of ${alg} for ${use}.`)
    const seed = keyring.open('signingKey', signingKeyPlace(row.kid), row.sealedSeed)
    const signer = createLocalSigner(crypto, row.alg, seed)
    seed.fill(0)
    if (signer.keyId !== row.kid) throw new SealError(`The signing key ${row.kid} holds the seed of ${signer.keyId}.`)
    return signer
  }

  const profile = getProfileOf(stored.signingKeys)
  const { signing, audit } = profiles[profile]
  return {
    keyring,
    profile,
    rootKid: openSigner('root', signing).keyId,
    bucketSigner: openSigner('bucket', signing),
    attestationSigner: openSigner('attestation', signing),
    auditSigner: openSigner('audit', 'ML-DSA-44'),
    auditSigner87: audit.some((alg) => alg === 'ML-DSA-87') ? openSigner('audit', 'ML-DSA-87') : undefined,
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
