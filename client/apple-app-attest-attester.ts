import { toBase64url } from '../protocol/encoding.ts'
import type { Attester } from './attester.ts'

/** What DCAppAttestService gave. */
export type AppAttestProof = { attestation: Uint8Array } | { assertion: Uint8Array }

export interface AppleAppAttestOptions {
  /**
   * The app hands `clientDataHash`, 32 bytes, to DCAppAttestService as it is: to `attestKey` with a new key when the device enrols, and
   * when nobody knows whether the attestation of its key arrived; to `generateAssertion` with that key otherwise.
   */
  attest(clientDataHash: Uint8Array): Promise<AppAttestProof>
}

/** Of a device of Apple: its Secure Enclave holds a key that Apple attested for one app (docs/attestation.md). */
export function appleAppAttestAttester({ attest }: AppleAppAttestOptions): Attester {
  const format = 'apple-app-attest'
  return {
    format,
    async collect(binding) {
      const proof = await attest(binding)
      return 'attestation' in proof
        ? { format, attestation: toBase64url(proof.attestation) }
        : { format, assertion: toBase64url(proof.assertion) }
    },
  }
}
