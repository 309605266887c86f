import { EAR_LIFETIME_SECONDS, earClaims } from '../../protocol/attestation/ear.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { jwsSigningInput, toJwk } from '../../protocol/jws.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { type SignatureAlgorithm, signatureContexts } from '../../protocol/suites.ts'
import { currentOf, type Signer } from '../../runtime/custody/signer.ts'
import { newId } from '../../runtime/ids.ts'
import type { Appraisal } from './appraise-evidence.ts'

export interface IssuedAttestationResult {
  id: string
  tier: Appraisal['tier']
  policyId: string
  appraisedAt: number
  expiresAt: number
  /** Compact JWS. */
  ear: string
}

export type IssueAttestationResult = (
  appraised: {
    spiffeId: string
    alg: SignatureAlgorithm
    publicKey: Uint8Array
    appraisal: Appraisal
  },
  appraisedAt: number,
) => Promise<IssuedAttestationResult>

/** Signs what was appraised, so that anybody can check it with the keys of `/.well-known/jwks.json`. */
export function createIssueAttestationResult(parts: {
  crypto: Primitives
  signer: Signer
  version: string
}): IssueAttestationResult {
  const { crypto } = parts
  return async ({ spiffeId, alg, publicKey, appraisal }, appraisedAt) => {
    const claims = earClaims({
      verifier: { developer: 'QFLARE', build: `qflare ${parts.version}` },
      spiffeId,
      identityKey: toJwk(crypto, { alg, publicKey }),
      appraisedAt,
      tier: appraisal.tier,
      appraisals: appraisal.appraisals,
      policyId: appraisal.policyId,
    })
    const signer = currentOf(parts.signer)
    const input = jwsSigningInput({ alg: signer.alg, kid: signer.keyId, typ: 'JWT' }, claims)
    const signature = await signer.sign(new TextEncoder().encode(input), signatureContexts.empty)
    return {
      id: newId(),
      tier: appraisal.tier,
      policyId: appraisal.policyId,
      appraisedAt,
      expiresAt: appraisedAt + EAR_LIFETIME_SECONDS * 1000,
      ear: `${input}.${toBase64url(signature)}`,
    }
  }
}
