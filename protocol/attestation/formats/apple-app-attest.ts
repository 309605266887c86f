import { z } from 'zod'
import { bytesWithin } from '../../wire.ts'
import { defineEvidenceFormat, malformedEvidence } from '../evidence-format.ts'
import { appraiseAppAttest } from './apple-app-attest/appraise.ts'
import { MAX_ASSERTION_BYTES, parseAssertion } from './apple-app-attest/assertion.ts'
import { MAX_ATTESTATION_BYTES, parseAttestation } from './apple-app-attest/attestation-object.ts'
import { appAttestReference, appAttestRules } from './apple-app-attest/rules.ts'
import { appAttestState } from './apple-app-attest/state.ts'
import { type AppAttestEvidence, verifyAppAttest } from './apple-app-attest/verify.ts'

const format = z.literal('apple-app-attest')
const evidenceAppAttest = z.union([
  z.strictObject({ format, attestation: bytesWithin(1, MAX_ATTESTATION_BYTES) }),
  z.strictObject({ format, assertion: bytesWithin(1, MAX_ASSERTION_BYTES) }),
])

/**
 * App Attest of Apple: a key in the Secure Enclave of a device that Apple attests once, for one app, and that signs from then on.
 * docs/attestation-formats.md says what each check is.
 */
export const appleAppAttest = defineEvidenceFormat({
  name: 'apple-app-attest',
  rules: appAttestRules,
  referenceValue: appAttestReference,
  parseEvidence(evidence): AppAttestEvidence {
    const { data } = evidenceAppAttest.safeParse(evidence)
    if (data === undefined) {
      throw malformedEvidence(
        `There is either an attestation of at most ${MAX_ATTESTATION_BYTES} bytes or an assertion of at most ${MAX_ASSERTION_BYTES}.`,
      )
    }
    return 'attestation' in data
      ? { kind: 'attestation', ...parseAttestation(data.attestation) }
      : { kind: 'assertion', ...parseAssertion(data.assertion) }
  },
  trustAnchorIds: (evidence) =>
    evidence.kind === 'assertion' ? [] : [...new Set([evidence.leaf, ...evidence.above].map((one) => one.issuerId))],
  anchorIdsOf: (state) => appAttestState.parse(state).anchors.map(({ lookupId }) => lookupId),
  extractClaims: verifyAppAttest,
  attesterOf: ({ attester }) => attester,
  claimsToJson: ({ said }) => said,
  appraise: ({ said }, references, rules) => appraiseAppAttest(said, references, rules),
})
