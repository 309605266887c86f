import { expect, it } from 'vitest'
import { type AppAttestProof, appleAppAttestAttester } from '../../../client/apple-app-attest-attester.ts'
import { collectEvidence } from '../../../client/attester.ts'
import {
  enrollingAppAttest,
  knownAppAttest,
  makeAssertion,
  makeAttestation,
  verifyAppAttest,
} from '../../support/apple-app-attest/evidence.ts'

/** Evidence of an app that answers so. */
async function collected(attest: (binding: Uint8Array) => AppAttestProof, binding: Uint8Array) {
  const attester = appleAppAttestAttester({ attest: async (clientDataHash) => attest(clientDataHash) })
  expect(attester.format).toBe('apple-app-attest')
  const [evidence = {}] = await collectEvidence([attester], binding)
  return evidence
}

it('asks the app of a device with the binding, and its attestation and assertions are taken', async () => {
  const { binding } = enrollingAppAttest
  const first = await collected((given) => ({ attestation: makeAttestation({ binding: given }) }), binding)
  const { attester } = verifyAppAttest(first)
  const later = Buffer.alloc(32, 2)
  const second = await collected((given) => ({ assertion: makeAssertion({ binding: given }) }), later)
  expect(verifyAppAttest(second, knownAppAttest(attester, { binding: later })).claims).toMatchObject({ counter: 1 })
})

it('says why an app that gives nothing is no attester', async () => {
  const attester = appleAppAttestAttester({ attest: () => Promise.reject(new Error('serverUnavailable')) })
  await expect(collectEvidence([attester], enrollingAppAttest.binding)).rejects.toMatchObject({
    code: 'attester_failed',
    message: 'The attester of apple-app-attest gives no evidence (serverUnavailable).',
  })
})
