import { fromBase64url } from '../encoding.ts'
import type { Primitives } from '../primitives.ts'
import type { TrustBundle, TrustKey } from '../trust.ts'
import { noteSignatureKinds, type VerifierKey, verifierKey } from './verifier-key.ts'

/**
 * Every key of the log that these trust bundles name, the oldest first, as the newest of them that names it says: a key that was
 * retired ends with its last checkpoint. `bundles`: verified by the caller, in order.
 */
export function listAuditKeys(bundles: readonly TrustBundle[]): TrustKey[] {
  const keys = new Map<string, TrustKey>()
  for (const key of bundles.flatMap((bundle) => bundle.keys)) if (key.use === 'audit') keys.set(key.kid, key)
  return [...keys.values()]
}

/** As whose signatures a reader verifies checkpoints of the log `origin`. Keys of an algorithm that signs none are left out. */
export function toVerifierKeys(crypto: Primitives, origin: string, keys: readonly TrustKey[]): VerifierKey[] {
  return keys.flatMap((key) => {
    const kind = kindOf(key)
    if (kind === undefined) return []
    const { notBefore, notAfter } = key
    const made = verifierKey(crypto, origin, kind, fromBase64url(key.publicKey))
    return [{ ...made, validity: { notBefore, notAfter } }]
  })
}

function kindOf({ alg }: TrustKey): VerifierKey['kind'] | undefined {
  return (['cosignature', 'mlDsa87'] as const).find((kind) => noteSignatureKinds[kind].alg === alg)
}
