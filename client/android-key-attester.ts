import { toBase64url } from '../protocol/encoding.ts'
import type { Attester } from './attester.ts'

export interface AndroidKeyOptions {
  /**
   * The app of the phone makes a fresh key with `setAttestationChallenge(challenge)`, 32 bytes, and hands over the certificates of its
   * chain in DER, leaf first.
   */
  attest(challenge: Uint8Array): Promise<readonly Uint8Array[]>
}

/** Of a phone with Android: its hardware vouches for what it runs and for the app that asked (docs/attestation.md). */
export function androidKeyAttester({ attest }: AndroidKeyOptions): Attester {
  const format = 'android-key'
  return {
    format,
    async collect(binding) {
      const chain = await attest(binding)
      return { format, chain: chain.map((certificate) => toBase64url(certificate)) }
    },
  }
}
