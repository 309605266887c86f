import { expect, it } from 'vitest'
import { androidKeyAttester } from '../../../client/android-key-attester.ts'
import { collectEvidence } from '../../../client/attester.ts'
import { androidKey } from '../../../protocol/attestation/formats/android-key.ts'
import { androidRoot, enrollingAndroid, makeChain } from '../../support/android-key/evidence.ts'

it('asks the app of a phone with the binding, and its evidence is taken', async () => {
  const attester = androidKeyAttester({ attest: async (challenge) => makeChain({ description: { challenge } }) })
  expect(attester.format).toBe('android-key')
  const [evidence = {}] = await collectEvidence([attester], enrollingAndroid.binding)
  expect(androidKey.parse(evidence).verify([androidRoot()], enrollingAndroid).claims).toMatchObject({
    attestedKey: 'other',
  })
})

it('says why an app that gives nothing is no attester', async () => {
  const attester = androidKeyAttester({ attest: () => Promise.reject(new Error('no keystore')) })
  await expect(collectEvidence([attester], enrollingAndroid.binding)).rejects.toMatchObject({
    code: 'attester_failed',
    message: 'The attester of android-key gives no evidence (no keystore).',
  })
})
