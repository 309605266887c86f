import { toBase64url } from '../../protocol/encoding.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import { trustBundleBytes, type UnsignedTrustBundle, type WireTrustBundle } from '../../protocol/trust.ts'
import type { Signer } from './signer.ts'

/** In its wire form. `root`: a root key of the bundle before it; of the first, its own. */
export async function signTrustBundle(root: Signer, bundle: UnsignedTrustBundle): Promise<WireTrustBundle> {
  const signature = await root.sign(trustBundleBytes(bundle), signatureContexts.trust)
  return { ...bundle, signatures: [{ kid: root.keyId, signature: toBase64url(signature) }] }
}
