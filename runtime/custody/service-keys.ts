import { encode } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { TrustKey } from '../../protocol/trust.ts'
import { type Keyring, keyringPurposes, openKeyring, type WrappedKek } from './keyring.ts'
import { SealError, type SealedPlace, sealPurposes } from './sealed-record.ts'
import { createLocalSigner, type Signer } from './signer.ts'
import type { Wrapper } from './wrapper.ts'

export interface ServiceKeys {
  /** `kid` of the root key, by its own sealed seed: what trust bundles are held against. */
  rootKid: string
  keyring: Keyring
  bucketSigner: Signer
  attestationSigner: Signer
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

  function openSigner(use: TrustKey['use']): Signer {
    const row = stored.signingKeys.find((key) => key.use === use)
    if (row === undefined) throw new SealError(`There is no active signing key for ${use}.`)
    const seed = keyring.open('signingKey', signingKeyPlace(row.kid), row.sealedSeed)
    const signer = createLocalSigner(crypto, row.alg, seed)
    seed.fill(0)
    if (signer.keyId !== row.kid) throw new SealError(`The signing key ${row.kid} holds the seed of ${signer.keyId}.`)
    return signer
  }

  const rootKid = openSigner('root').keyId
  return { keyring, rootKid, bucketSigner: openSigner('bucket'), attestationSigner: openSigner('attestation') }
}
