import { describe, expect, it } from 'vitest'
import { type RoundTrust, verifyRoundCertificate } from '../../../../protocol/rounds/verify-round-certificate.ts'
import { makeBundle, makeTrustKey, seedOf } from '../../../support/protocol-exchange.ts'
import { native as crypto, refusalOf } from '../../../support/protocol-providers.ts'
import { EVENT_INDEX, logOf, makeAuthority, makeCertificateFile } from '../../../support/round-certificate.ts'

const authority = makeAuthority(crypto)
const file = makeCertificateFile(crypto, authority)
const pinned: RoundTrust = { rootPin: authority.pin, requireProof: true }
const refused = (changed: typeof file, trust = pinned) =>
  refusalOf(() => verifyRoundCertificate(crypto, changed, trust))

describe('a round certificate, after its keys were rotated', () => {
  const newRoot = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'new root', 32))
  const later = makeAuthority(crypto, 'later')
  const follow = (sequence: number, keys: typeof authority.keys, signers: (typeof newRoot)[]) =>
    makeBundle(crypto, { sequence, keys, signers, trustDomain: 'fleet.example' })
  const root = makeTrustKey(crypto, newRoot, 'root')
  const second = follow(2, [root, ...later.keys.slice(1)], [authority.root, newRoot])
  const trust = [authority.bundle, second]
  /** The log's checkpoint is of a key that came later. */
  const rotated = { ...file, trust, proof: logOf(crypto, file.event, later.auditSigner).proofText(EVENT_INDEX) }

  it('verifies under the root key of its time, through the bundles that followed', () => {
    expect(verifyRoundCertificate(crypto, rotated, pinned).logged?.index).toBe(EVENT_INDEX)
    expect(refused({ ...rotated, trust: [authority.bundle] }).code).toBe('log_invalid')
  })

  it('does not verify under a later root key, unless that vouched for the key that signed too, but under a key of the log', () => {
    expect(refused(rotated, { rootPin: root.kid, requireProof: true }).code).toBe('trust_invalid')
    const kept = follow(2, [root, ...authority.keys.slice(1)], [authority.root, newRoot])
    const trustOfBoth = { ...file, trust: [authority.bundle, kept] }
    expect(verifyRoundCertificate(crypto, trustOfBoth, { rootPin: root.kid, requireProof: true }).kid).toBe(
      file.signature.kid,
    )
    const keys = { auditKeys: [later.auditSigner.by], requireProof: true }
    expect(verifyRoundCertificate(crypto, rotated, keys).logged?.index).toBe(EVENT_INDEX)
  })
})
