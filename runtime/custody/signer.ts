import { keyId } from '../../protocol/key-id.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { SignatureAlgorithm, SignatureContext } from '../../protocol/suites.ts'

/** A signing key of the service, wherever it lives. Calls may fail for a while; the caller retries. */
export interface Signer {
  readonly keyId: string
  readonly alg: SignatureAlgorithm
  readonly publicKey: Uint8Array
  sign(message: Uint8Array, context: SignatureContext): Promise<Uint8Array>
}

/** Another key after a rotation. */
export interface LiveSigner extends Signer {
  /** The key of now alone. */
  readonly current: Signer
}

/** What a signature and the id that is written beside it are both taken from, whatever rotates in between. */
export function currentOf(signer: Signer | LiveSigner): Signer {
  return 'current' in signer ? signer.current : signer
}

/** Always the key that `current` answers. */
export function liveSigner(current: () => Signer): LiveSigner {
  return {
    get current() {
      return current()
    },
    get keyId() {
      return current().keyId
    },
    get alg() {
      return current().alg
    },
    get publicKey() {
      return current().publicKey
    },
    sign: (message, context) => current().sign(message, context),
  }
}

/** Signs in this process. `seed` is not kept. */
export function createLocalSigner(crypto: Primitives, alg: SignatureAlgorithm, seed: Uint8Array): Signer {
  const key = crypto.importSigningKey(alg, seed)
  return verifying(crypto, {
    keyId: keyId(crypto, alg, key.publicKey),
    alg,
    publicKey: key.publicKey,
    sign: async (message, context) => key.sign(message, context),
  })
}

/** Around every signer: a signature is verified before anybody uses it, so that a fault or a lying remote signer stops here. */
export function verifying(crypto: Primitives, signer: Signer): Signer {
  const verificationKey = crypto.importVerificationKey(signer.alg, signer.publicKey)
  return {
    keyId: signer.keyId,
    alg: signer.alg,
    publicKey: signer.publicKey,
    async sign(message, context) {
      const signature = await signer.sign(message, context)
      if (!verificationKey.verify(message, context, signature)) {
        throw new Error(`The signer of ${signer.keyId} gave a signature that is not valid.`)
      }
      return signature
    },
  }
}
