import { fromBase64url } from '../encoding.ts'
import type { Primitives } from '../primitives.ts'
import type { TrustBundle, TrustKey } from '../trust.ts'
import { logOrigin } from './checkpoint.ts'
import { type NoteSignatureKind, noteSignatureKinds, type VerifierKey, verifierKey } from './verifier-key.ts'

/** Those of use `audit`, under the name of the trust domain's log. `bundle` is verified. */
export function auditKeysOf(crypto: Primitives, { trustDomain, keys }: TrustBundle): VerifierKey[] {
  return keys.flatMap((key) => {
    const kind = kindOf(key)
    return kind === undefined ? [] : verifierKey(crypto, logOrigin(trustDomain), kind, fromBase64url(key.publicKey))
  })
}

function kindOf({ use, alg }: TrustKey): NoteSignatureKind | undefined {
  if (use !== 'audit') return undefined
  return (['cosignature', 'mlDsa87'] as const).find((kind) => noteSignatureKinds[kind].alg === alg)
}
