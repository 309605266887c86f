import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { tpm2 } from '../../../../../protocol/attestation/formats/tpm2.ts'
import { credentialAnswer } from '../../../../../protocol/attestation/messages.ts'
import { ProtocolError } from '../../../../../protocol/errors.ts'
import { activateCredential } from '../../../../support/tpm/activate-credential.ts'
import { anchorOf, certifyEk } from '../../../../support/tpm/ek-authority.ts'
import { activateFor, akKinds, ekIdOf, makeEvidence, toText, verifyEvidence } from '../../../../support/tpm/evidence.ts'
import {
  AK_ATTRIBUTES,
  ekKinds,
  makeSoftwareTpm,
  type SoftwareTpmOptions,
} from '../../../../support/tpm/software-tpm.ts'
import { tpm2b } from '../../../../support/tpm/structures.ts'
import { CERTIFICATE_NOT_AFTER, CERTIFICATE_NOW } from '../../../../support/x509.ts'
import { checkOf } from './refusals.ts'

const ak = akKinds['RSASSA, SHA-256']

function requestOf(options: SoftwareTpmOptions, now = CERTIFICATE_NOW) {
  const tpm = makeSoftwareTpm(options)
  const path = certifyEk(tpm)
  const request = tpm2.parseCredentialRequest?.({
    ekCertificate: toText(path.leaf),
    ekChain: [toText(path.intermediate)],
    akPublic: toText(tpm2b(tpm.akArea)),
  })
  if (request === undefined) return expect.fail()
  return {
    request,
    challenge: (anchors = [anchorOf(path.root)]) => request.challenge(anchors, { now, random: randomBytes }),
  }
}

describe.each(ekKinds)('a credential for an EK of %s', (ek) => {
  test.each<[string, (length: number) => Uint8Array]>([
    ['random', randomBytes],
    ['zero', (length) => Buffer.alloc(length)],
    ['one', (length) => Buffer.alloc(length, 0xff)],
  ])('is opened by its TPM when all bits are %s', (_, random) => {
    const { answer, activation, opened } = activateFor(makeSoftwareTpm({ ek, ak }), random)
    expect(opened).toEqual(activation.secret)
    expect(activation.secret).toHaveLength(32)
    expect(() => credentialAnswer.encode(answer)).not.toThrow()
  })

  test('is another one each time', () => {
    const tpm = makeSoftwareTpm({ ek, ak })
    const [one, other] = [activateFor(tpm, randomBytes), activateFor(tpm, randomBytes)]
    expect(one.opened).not.toEqual(other.opened)
    expect(one.answer.encryptedSecret).not.toEqual(other.answer.encryptedSecret)
  })

  test('is not opened with another AK, nor by another TPM', () => {
    const tpm = makeSoftwareTpm({ ek, ak })
    const { answer } = activateFor(tpm, randomBytes)
    const { akName } = makeSoftwareTpm({ ek, ak: akKinds['RSASSA, SHA-384'] })
    expect(() => activateCredential(tpm, answer, akName)).toThrow('TPM_RC_INTEGRITY')
    const other = makeSoftwareTpm({ ek, ak, name: ' of another' })
    expect(() => activateCredential(other, answer, tpm.akName)).toThrow()
  })

  test('is the one with which its TPM enrols', () => {
    const made = makeEvidence({ ek, ak })
    const { activation, opened } = activateFor(made.tpm, randomBytes)
    const evidence = { ...made.evidence, activatedSecret: toText(opened) }
    const enrolled = verifyEvidence({
      ...made,
      evidence,
      expected: { ...made.expected, attester: { kind: 'enrolling', activation } },
    })
    expect(enrolled.attester?.id).toBe(ekIdOf(made.tpm))
  })
})

describe('no credential is made', () => {
  test.each<[string, string, () => unknown]>([
    ['tpm2.ek_path.anchor', 'without a trust anchor', () => requestOf({ ek: 'P-256', ak }).challenge([])],
    [
      'tpm2.ek_path.validity',
      'once a certificate has expired',
      () => requestOf({ ek: 'P-256', ak }, CERTIFICATE_NOT_AFTER + 1).challenge(),
    ],
    [
      'tpm2.ak_attributes',
      'for an AK that is none',
      () => requestOf({ ek: 'P-256', ak, changeAk: { attributes: AK_ATTRIBUTES & ~0x1_0000 } }).challenge(),
    ],
  ])('and %s is named %s', (check, _, attempt) => {
    expect(checkOf(attempt)).toBe(check)
    expect(attempt).toThrow(ProtocolError)
  })

  test('before the trust anchors of its certificates are known', () => {
    expect(requestOf({ ek: 'P-256', ak }).request.trustAnchorIds).toEqual(
      tpm2.parse(makeEvidence({ ak }).evidence).trustAnchorIds,
    )
  })
})
