import type { Json } from '../../../encoding.ts'
import type { CredentialRequest } from '../../evidence-format.ts'
import { verifyAttestationKey } from './attestation-key.ts'
import { ACTIVATED_SECRET_BYTES, makeCredential } from './credential.ts'
import { trustAnchorIdsOf, verifyEkCertificate } from './ek-certificate.ts'
import { parseTpm2CredentialRequest } from './evidence.ts'

/** `{"ekCertificate", "ekChain"?, "akPublic"}`. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseCredentialRequest(given: Record<string, Json>): CredentialRequest {
  const { certificates, ak } = parseTpm2CredentialRequest(given)
  return {
    trustAnchorIds: trustAnchorIdsOf(certificates),
    challenge(anchors, { now, random }) {
      const { key: ek } = verifyEkCertificate(certificates, anchors, now)
      const { name: akName } = verifyAttestationKey(ak)
      const secret = random(ACTIVATED_SECRET_BYTES)
      const answer = makeCredential(ek, { akName, secret, random })
      return { answer, activation: { attesterId: ek.id, state: { akName: akName.toString('hex') }, secret } }
    },
  }
}
