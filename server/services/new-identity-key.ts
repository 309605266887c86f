import { DatabaseError } from '../../database/errors.ts'
import type { Tx } from '../../database/open.ts'
import { isIdentityKeyKnown } from '../../database/repositories/identity-keys.ts'
import { keyId } from '../../protocol/key-id.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import { ServiceError } from '../errors.ts'

/** The `kid` of a key that nobody in the organization has, or ever had. Throws `key_invalid`. */
export async function requireNewKey(
  crypto: Primitives,
  tx: Tx,
  { alg, publicKey }: { alg: SignatureAlgorithm; publicKey: Uint8Array },
): Promise<string> {
  const kid = keyId(crypto, alg, publicKey)
  if (await isIdentityKeyKnown(tx, kid)) throw keyKnown()
  return kid
}

/** One key brought by two at the same moment: the second finds it taken when it stores it. */
export async function withDuplicateKeyRefused<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== 'duplicate') throw error
    throw keyKnown(error)
  }
}

function keyKnown(cause?: Error): ServiceError {
  return new ServiceError('key_invalid', 'This identity key is enrolled already.', { field: 'identityKey', cause })
}
