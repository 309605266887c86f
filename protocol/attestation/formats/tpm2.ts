import type { Json } from '../../encoding.ts'
import { defineEvidenceFormat } from '../evidence-format.ts'
import { appraiseTpm2 } from './tpm2/appraise.ts'
import { parseCredentialRequest } from './tpm2/credential-request.ts'
import { trustAnchorIdsOf } from './tpm2/ek-certificate.ts'
import { parseTpm2Evidence } from './tpm2/evidence.ts'
import { tpm2ReferenceValue, tpm2Rules } from './tpm2/rules.ts'
import { tpm2State } from './tpm2/state.ts'
import { type Tpm2Claims, verifyTpm2 } from './tpm2/verify.ts'

/** Of a device with a TPM 2.0: a quote of its PCRs, by a key that is proved to be in the TPM of an EK that its manufacturer certified. */
export const tpm2 = defineEvidenceFormat({
  name: 'tpm2',
  rules: tpm2Rules,
  referenceValue: tpm2ReferenceValue,
  parseEvidence: parseTpm2Evidence,
  trustAnchorIds: ({ certificates }) => (certificates === undefined ? [] : trustAnchorIdsOf(certificates)),
  anchorIdsOf: (state) => (tpm2State.parse(state).anchors ?? []).map(({ lookupId }) => lookupId),
  extractClaims: verifyTpm2,
  attesterOf: ({ attester }) => attester,
  claimsToJson,
  appraise: appraiseTpm2,
  parseCredentialRequest,
})

function claimsToJson({ attester, pcrs, replayed, ...claims }: Tpm2Claims): Json {
  const { akName, ...state } = attester.state
  return {
    ek: attester.id,
    ak: { name: akName, ...claims.ak },
    tpm: { ...state.tpm, firmwareVersion: claims.firmwareVersion },
    certificatesValidUntil: state.certificatesValidUntil,
    resetCount: state.resetCount,
    restartCount: state.restartCount,
    clock: state.clock,
    safe: state.safe,
    hasRestarted: claims.hasRestarted,
    pcrs: Object.fromEntries(
      [...pcrs].map(([bank, values]) => [
        bank,
        Object.fromEntries([...values].map(([pcr, value]) => [pcr, value.toString('hex')])),
      ]),
    ),
    ...(replayed && { replayed: { ...replayed } }),
  }
}
