import { test } from 'vitest'
import { parseCbor } from '../../../../../protocol/attestation/cbor.ts'
import {
  assertionEvidence,
  attestationEvidence,
  enrollingAppAttest,
  knownAppAttest,
  makeAssertion,
  makeAttestation,
  systemExtensions,
  verifyAppAttest,
} from '../../../../support/apple-app-attest/evidence.ts'
import { FUZZ_TIMEOUT_MS, fuzz } from '../../../../support/fuzz.ts'

const extensions = systemExtensions()
const { attester } = verifyAppAttest(attestationEvidence())

/** All but the receipt, which nobody reads. */
function withoutReceipt(bytes: Uint8Array): unknown {
  const members = parseCbor(bytes, { preferred: true }) as Map<string, unknown>
  const { x5c } = Object.fromEntries(members.get('attStmt') as Map<string, unknown>)
  return { x5c, authData: members.get('authData') }
}

test('no mutation of an attestation is taken, and each is refused as evidence', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const seeds = [makeAttestation(), makeAttestation({ data: { extensions } })]
  fuzz(
    'apple-app-attest, attestation',
    seeds,
    (bytes) => verifyAppAttest(attestationEvidence(bytes), enrollingAppAttest),
    withoutReceipt,
  )
})

test('no mutation of an assertion is taken', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const seeds = [makeAssertion(), makeAssertion({ data: { counter: 70_000, extensions } })]
  fuzz('apple-app-attest, assertion', seeds, (bytes) =>
    verifyAppAttest(assertionEvidence(bytes), knownAppAttest(attester)),
  )
})
