import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, type Json } from '../../../../protocol/encoding.ts'
import type { ProtocolErrorCode } from '../../../../protocol/errors.ts'
import {
  type RoundCertificate,
  type RoundCertificateFile,
  type RoundParticipant,
  roundCertificateBytes,
  roundCertificateHash,
} from '../../../../protocol/rounds/round-certificate.ts'
import {
  checkRoundCertificate,
  type RoundTrust,
  verifyRoundCertificate,
} from '../../../../protocol/rounds/verify-round-certificate.ts'
import { signatureContexts } from '../../../../protocol/suites.ts'
import { makeSigner } from '../../../support/memory-log.ts'
import { bucketStart } from '../../../support/protocol-exchange.ts'
import { native as crypto, flipBit, providers, refusalOf } from '../../../support/protocol-providers.ts'
import {
  EVENT_INDEX,
  idOf,
  logOf,
  makeAuthority,
  makeCertificateFile,
  makeParticipant,
} from '../../../support/round-certificate.ts'

const authority = makeAuthority(crypto)
const stranger = makeAuthority(crypto, 'stranger')
const file = makeCertificateFile(crypto, authority)
const pinned: RoundTrust = { rootPin: authority.pin, requireProof: true }
const keyed: RoundTrust = { auditKeys: [authority.auditSigner.by], requireProof: true }

const refused = (changed: RoundCertificateFile, trust = pinned) =>
  refusalOf(() => verifyRoundCertificate(crypto, changed, trust))
const change = (part: Partial<RoundCertificate>): RoundCertificate => ({ ...file.certificate, ...part })
/** Signed, logged and proven like the true one: only what it says is wrong. */
const made = (part: Partial<RoundCertificate>) => makeCertificateFile(crypto, authority, change(part))
/** With another event, which the log has. */
function withEvent(event: { [key: string]: Json }): RoundCertificateFile {
  return { ...file, event, proof: logOf(crypto, event, authority.auditSigner).proofText(EVENT_INDEX) }
}
const [first, second, third] = file.certificate.participants as [RoundParticipant, RoundParticipant, RoundParticipant]
const data = { certificateHash: roundCertificateHash(crypto, file.certificate) }

describe.each(providers)('with $provider a round certificate', (provider) => {
  it.each([
    ['the pin of the root key', pinned],
    ['a key of the log', keyed],
    ['both', { ...pinned, ...keyed }],
  ])('verifies offline under %s', (_, trust) => {
    const { certificate, kid, logged } = verifyRoundCertificate(provider, file, trust)
    expect(certificate).toBe(file.certificate)
    expect([kid, logged?.index, logged?.checkpoint.size]).toEqual([
      authority.kidOf(authority.attestation),
      EVENT_INDEX,
      10,
    ])
  })
})

describe('a round certificate', () => {
  it('may come before its proof does, where a root key vouches for it and nobody asks for more', () => {
    const early = { ...file, proof: null }
    const trust = { rootPin: authority.pin, requireProof: false }
    expect(verifyRoundCertificate(crypto, early, trust).logged).toBeUndefined()
    expect(checkRoundCertificate(crypto, early, trust).checks.at(-1)).toMatchObject({ outcome: 'missing' })
    const noProof = { code: 'log_invalid', message: 'There is no proof that the event is in the log.' }
    expect(refused(early)).toEqual(noProof)
    expect(refused(early, { ...keyed, requireProof: false })).toEqual(noProof)
  })

  it('is not even looked at where nothing is trusted', () => {
    expect(refused(file, { requireProof: true })).toMatchObject({ code: 'trust_invalid' })
    expect(refused(file, { auditKeys: [], requireProof: true })).toMatchObject({ code: 'log_invalid' })
  })

  it('of a round that failed, or without a participant or an aggregate, verifies like any other', () => {
    const parts: Partial<RoundCertificate>[] = [
      { state: 'FAILED', participants: [first] },
      { minParticipants: 0, participants: [] },
      { aggregateHash: null },
    ]
    for (const part of parts) {
      expect(verifyRoundCertificate(crypto, made(part), pinned).certificate).toMatchObject(part)
    }
  })

  it('has a line for each check, and says of each what it found', () => {
    const found = checkRoundCertificate(crypto, file, pinned).checks
    expect(found.map(({ check, outcome }) => `${check} ${outcome}`)).toEqual([
      'participants verified',
      'trust verified',
      'signature verified',
      'event verified',
      'proof verified',
    ])
    const changed = { ...file, certificate: change({ policy: 'development' }) }
    const outcomes = checkRoundCertificate(crypto, changed, pinned).checks.map(({ outcome }) => outcome)
    expect(outcomes.join(' ')).toBe('verified verified refused refused verified')
  })

  it.each<[string, ProtocolErrorCode, () => RoundCertificateFile]>([
    // Participants.
    ['two participants changed for each other', 'round_invalid', () => made({ participants: [second, first, third] })],
    ['a participant twice', 'round_invalid', () => made({ participants: [first, first, second] })],
    ['fewer than it wants, and closed', 'round_invalid', () => made({ participants: [first] })],
    ['an end before its beginning', 'round_invalid', () => made({ closedAt: file.certificate.openedAt - 1 })],
    // Signature.
    ['another policy', 'signature_invalid', () => ({ ...file, certificate: change({ policy: 'development' }) })],
    [
      'one participant more',
      'signature_invalid',
      () => ({
        ...file,
        certificate: change({ participants: [...file.certificate.participants, makeParticipant(crypto, 4)] }),
      }),
    ],
    [
      'the signature of another',
      'trust_invalid',
      () => ({
        ...file,
        signature: makeCertificateFile(crypto, stranger).signature,
      }),
    ],
    [
      'the signature of another under this kid',
      'signature_invalid',
      () => ({
        ...file,
        signature: { ...file.signature, signature: makeCertificateFile(crypto, stranger).signature.signature },
      }),
    ],
    [
      'a signature by a key of another use',
      'trust_invalid',
      () => ({
        ...file,
        signature: {
          kid: authority.kidOf(authority.bucket),
          signature: authority.bucket.sign(roundCertificateBytes(file.certificate), signatureContexts.round),
        },
      }),
    ],
    [
      'a signature for another purpose',
      'signature_invalid',
      () => ({
        ...file,
        signature: {
          ...file.signature,
          signature: authority.attestation.sign(roundCertificateBytes(file.certificate), signatureContexts.empty),
        },
      }),
    ],
    // Trust.
    ['the bundle of another service', 'trust_invalid', () => ({ ...file, trust: [stranger.bundle] })],
    [
      'a bundle that nobody signed',
      'trust_invalid',
      () => ({
        ...file,
        trust: [{ ...authority.bundle, sequence: 2 }],
      }),
    ],
    [
      'bundles of which one does not follow',
      'trust_invalid',
      () => ({
        ...file,
        trust: [authority.bundle, { ...stranger.bundle, sequence: 2 }],
      }),
    ],
    ['a bundle twice', 'trust_invalid', () => ({ ...file, trust: [authority.bundle, authority.bundle] })],
    ['a trust domain that is not that of the bundle', 'trust_invalid', () => made({ trustDomain: 'other.example' })],
    [
      'a time at which the key was not valid yet',
      'trust_invalid',
      () => made({ openedAt: 0, closedAt: bucketStart - 1 }),
    ],
    [
      'a time at which the key was valid no more',
      'trust_invalid',
      () => made({ closedAt: bucketStart + 1000 * 300_000 }),
    ],
    // Event.
    [
      'the event of another certificate',
      'round_invalid',
      () => {
        const other = made({ minParticipants: 1 })
        return { ...file, event: other.event, proof: other.proof }
      },
    ],
    ['an event of another type', 'round_invalid', () => withEvent({ ...file.event, type: 'round.failed' })],
    [
      'an event of another round',
      'round_invalid',
      () => withEvent({ ...file.event, subject: { federationId: file.certificate.federationId, round: 8 } }),
    ],
    [
      'an event of another federation',
      'round_invalid',
      () => withEvent({ ...file.event, subject: { federationId: idOf('0009', 9), round: 7 } }),
    ],
    [
      'an event of another organization',
      'round_invalid',
      () => withEvent({ ...file.event, organizationId: idOf('0009', 9) }),
    ],
    ['an event without the hash', 'round_invalid', () => withEvent({ ...file.event, data: {} })],
    ['an event that is none', 'round_invalid', () => withEvent({ ...data, round: 7 })],
    // Proof.
    ['an event that was changed', 'log_invalid', () => ({ ...file, event: { ...file.event, severity: 'notice' } })],
    [
      'the proof of another entry',
      'log_invalid',
      () => ({
        ...file,
        proof: logOf(crypto, file.event, authority.auditSigner).proofText(EVENT_INDEX + 1),
      }),
    ],
    [
      'a proof of another log',
      'log_invalid',
      () => ({
        ...file,
        proof: logOf(crypto, file.event, stranger.auditSigner).proofText(EVENT_INDEX),
      }),
    ],
    ['a proof that is none', 'log_invalid', () => ({ ...file, proof: 'it is in the log' })],
    ['no proof', 'log_invalid', () => ({ ...file, proof: null })],
  ])('with %s is refused', (_, code, make) => {
    const changed = make()
    expect(changed).not.toEqual(file)
    expect(refused(changed).code).toBe(code)
  })

  it('that somebody else made for himself is refused by who knows a key of the log alone', () => {
    const forged = makeCertificateFile(crypto, stranger, change({ participants: [first, second] }))
    expect(verifyRoundCertificate(crypto, forged, { rootPin: stranger.pin, requireProof: true }).kid).toBe(
      stranger.kidOf(stranger.attestation),
    )
    expect(refused(forged, keyed).code).toBe('log_invalid')
    expect(refused({ ...forged, event: file.event, proof: file.proof }, keyed)).toEqual({
      code: 'round_invalid',
      message: 'The event carries the hash of another certificate.',
    })
  })

  it('is refused where the log that has its event is that of another trust domain', () => {
    const other = makeSigner(crypto, 'cosignature', 'other.example/audit')
    const elsewhere = { ...file, proof: logOf(crypto, file.event, other).proofText(EVENT_INDEX) }
    expect(refused(elsewhere, { auditKeys: [other.by], requireProof: true })).toEqual({
      code: 'log_invalid',
      message: 'The checkpoint is of other.example/audit, for which no key is given.',
    })
  })

  it('with any bit of its signature turned, or any member another, is refused', () => {
    const bits = file.signature.signature.length * 8
    const members = Object.keys(file.certificate) as (keyof RoundCertificate)[]
    fc.assert(
      fc.property(fc.nat({ max: bits - 1 }), fc.constantFrom(...members), fc.nat(), (bit, member, number) => {
        const signature = { ...file.signature, signature: flipBit(file.signature.signature, bit) }
        expect(refused({ ...file, signature }).code).toBe('signature_invalid')
        const value = file.certificate[member]
        const other = typeof value === 'number' ? value + 1 + number : typeof value === 'string' ? `${value}a` : null
        const changed = { ...file, certificate: { ...file.certificate, [member]: other ?? [] } as RoundCertificate }
        fc.pre(canonicalJson(changed.certificate) !== canonicalJson(file.certificate))
        expect(['signature_invalid', 'trust_invalid', 'round_invalid', 'log_invalid']).toContain(refused(changed).code)
      }),
      { numRuns: 40 },
    )
  })
})
