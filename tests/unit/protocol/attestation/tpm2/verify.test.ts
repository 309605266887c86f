import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  type AkKindName,
  activateFor,
  akKinds,
  ekIdOf,
  makeEvidence,
  makeKnownEvidence,
  pcrsAfter,
  testEvents,
  verifyEvidence,
} from '../../../../support/tpm/evidence.ts'
import { ekKinds, makeSoftwareTpm } from '../../../../support/tpm/software-tpm.ts'

const akNames = Object.keys(akKinds) as AkKindName[]

describe('evidence of a TPM', () => {
  describe.each(ekKinds)('with an EK of %s', (ek) => {
    test.each(akNames)('and an AK of %s is verified at the enrolment and later', (name) => {
      const evidence = makeEvidence({ ek, ak: akKinds[name] })
      const { attester, claims } = verifyEvidence(evidence)
      expect(attester?.id).toBe(ekIdOf(evidence.tpm))
      expect(claims).toMatchObject({ ek: attester?.id, ak: { scheme: akKinds[name].scheme }, hasRestarted: false })
      // The root of the test is signed anew each time.
      const state = { ...(attester?.state as object), anchors: [expect.anything()] }
      expect(verifyEvidence(makeKnownEvidence({ ek, ak: akKinds[name] })).attester).toEqual({ ...attester, state })
    })
  })

  test.each([
    ['of the high range', { range: 'high' }],
    ['whose AK is a key of its own in the endorsement hierarchy', { parent: 'endorsement' }],
    ['with an AK of RSA-3072', { ak: { ...akKinds['RSASSA, SHA-256'], key: 'RSA-3072' } }],
  ] as const)('%s is verified', (_, options) => {
    expect(verifyEvidence(makeEvidence(options)).attester).toBeDefined()
  })

  test.each([[['sha256']], [['sha384']], [['sha256', 'sha384']], [['sha384', 'sha256']]] as const)(
    'quotes the banks %j in whatever order',
    (banks) => {
      const pcrs = pcrsAfter(testEvents, banks)
      expect(verifyEvidence(makeEvidence({ quote: { pcrs } })).claims).toMatchObject({ pcrs })
    },
  )

  test.each(ekKinds)('opens a credential that was made for its EK of %s and its AK', (ek) => {
    const tpm = makeSoftwareTpm({ ek, ak: akKinds['RSASSA, SHA-256'] })
    const { activation, opened } = activateFor(tpm, randomBytes)
    expect(opened).toEqual(activation.secret)
    expect(activation).toMatchObject({ attesterId: ekIdOf(tpm), state: { akName: tpm.akName.toString('hex') } })
  })
})
