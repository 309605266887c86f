import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { toBase64url } from '../../../../protocol/encoding.ts'
import {
  parseRoundCertificateFile,
  roundCertificate,
  roundCertificateBytes,
  roundCertificateFile,
  roundCertificateHash,
  roundCommitment,
} from '../../../../protocol/rounds/round-certificate.ts'
import { native as crypto, providers, refusalOf, toHex } from '../../../support/protocol-providers.ts'
import {
  FEDERATION,
  idOf,
  keyOf,
  makeAuthority,
  makeCertificate,
  makeCertificateFile,
  ROUND,
} from '../../../support/round-certificate.ts'

/** `E(…)` and RFC 8785 written once more, from docs/protocol.md §1. */
const lp = (part: string | Uint8Array) => {
  const bytes = Buffer.from(part as string)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
const u64 = (n: number) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(n))
  return bytes
}
const raw = (uuid: string) => Buffer.from(uuid.replaceAll('-', ''), 'hex')

describe('a round certificate', () => {
  const certificate = makeCertificate(crypto)

  it.each(providers)('is signed as docs/protocol.md §5 says, to the byte, with $provider', (provider) => {
    const member = ({
      deviceId,
      kid,
      sessionId,
      epoch,
      attestationId,
      ...rest
    }: (typeof certificate.participants)[0]) =>
      `{"attestationHash":"${rest.attestationHash}","attestationId":"${attestationId}","commitment":"${rest.commitment}","deviceId":"${deviceId}","epoch":${epoch},"kid":"${kid}","sessionId":"${sessionId}","tier":"affirming"}`
    const { aggregateHash, closedAt, openedAt, organizationId } = certificate
    const text = `{"aggregateHash":"${aggregateHash}","closedAt":${closedAt},"federationId":"${FEDERATION}","minParticipants":2,"openedAt":${openedAt},"organizationId":"${organizationId}","participants":[${certificate.participants.map(member).join(',')}],"policy":"production","round":7,"state":"CLOSED","trustDomain":"fleet.example","v":1}`
    const signed = Buffer.concat([lp('QFLARE-v1 round'), lp(text)])
    expect(toHex(roundCertificateBytes(certificate))).toBe(signed.toString('hex'))
    expect(roundCertificateHash(provider, certificate)).toBe(toBase64url(provider.hash256(signed)))
  })

  it('commits to each key, and to whose it is, when and for what', () => {
    const [{ deviceId, sessionId, epoch, commitment } = makeCertificate(crypto).participants[0] as never] =
      certificate.participants
    const committed = Buffer.concat(
      [
        'QFLARE-v1 round commitment',
        raw(deviceId),
        raw(sessionId),
        u64(epoch),
        raw(FEDERATION),
        u64(ROUND),
        keyOf(crypto, 1),
      ].map(lp),
    )
    expect(commitment).toBe(toBase64url(crypto.hash256(committed)))
    const names = { deviceId, sessionId, epoch, federationId: FEDERATION, round: ROUND, key: keyOf(crypto, 1) }
    const others = [
      { deviceId: idOf('0001', 2) },
      { sessionId: idOf('0002', 2) },
      { epoch: epoch + 1 },
      { federationId: idOf('0009', 1) },
      { round: ROUND + 1 },
      { key: keyOf(crypto, 2) },
    ].map((other) => roundCommitment(crypto, { ...names, ...other }))
    expect(new Set([commitment, ...others]).size).toBe(7)
  })

  it.each<[string, object]>([
    ['another version', { v: 2 }],
    ['a state that no round ends in', { state: 'OPEN' }],
    ['a hash of 31 bytes', { aggregateHash: Buffer.alloc(31).toString('base64url') }],
    ['a hash with trailing bits', { aggregateHash: `${'A'.repeat(42)}B` }],
    ['a round that is no whole number', { round: 7.5 }],
    ['a member more', { remark: 'well done' }],
    ['an id in capitals', { federationId: FEDERATION.toUpperCase() }],
  ])('with %s is none', (_, change) => {
    expect(roundCertificate.safeParse(certificate).success).toBe(true)
    expect(roundCertificate.safeParse({ ...certificate, ...change }).success).toBe(false)
  })
})

describe('the file of a round certificate', () => {
  const file = makeCertificateFile(crypto, makeAuthority(crypto))
  const wire = z.encode(roundCertificateFile, file)
  const written = JSON.stringify(wire)
  const reread = (text: string) => z.encode(roundCertificateFile, parseRoundCertificateFile(text))
  const refused = (text: string) => refusalOf(() => parseRoundCertificateFile(text))

  it('is read as it was written, with whatever spaces between its members', () => {
    expect(reread(written)).toEqual(wire)
    expect(reread(`\n${JSON.stringify(wire, null, 2)}\n`)).toEqual(wire)
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['no JSON', 'round 7'],
    ['no object', '[]'],
    ['half of it', written.slice(0, -100)],
    ['a state twice', written.replace('"state":"CLOSED"', '"state":"FAILED","state":"CLOSED"')],
    ['a participant’s tier twice', written.replace('"tier":', '"tier":"warning","tier":')],
    ['a member spelt with an escape', written.replace('"state":', String.raw`"st\u0061te":`)],
    ['a number spelt with a fraction', written.replace('"round":7', '"round":7.0')],
    ['a member more', written.replace('"trust":', '"remark":1,"trust":')],
    ['a member of another prototype', written.replace('"trust":', '"__proto__":{},"trust":')],
    ['an event of another prototype', written.replace('"event":{', '"event":{"__proto__":{"type":"round.failed"},')],
    ['more escapes than a regular expression can follow', `{"certificate":"${String.raw`\"`.repeat(8 << 20)}"}`],
    ['no trust', JSON.stringify({ ...wire, trust: [] })],
  ])('with %s is refused', (_, text) => {
    expect(text).not.toBe(written)
    expect(refused(text).code).toBe('round_invalid')
  })

  it('whatever is done to a piece of its text, is refused or read as something else, never as the same', () => {
    fc.assert(
      fc.property(fc.nat({ max: written.length - 1 }), fc.constantFrom('', '"', '0', 'Z', '{', ','), (at, put) => {
        const changed = written.slice(0, at) + put + written.slice(at + 1)
        fc.pre(changed !== written)
        let read: unknown
        try {
          read = reread(changed)
        } catch {
          return
        }
        expect(read).not.toEqual(wire)
      }),
      { numRuns: 300 },
    )
  })
})
