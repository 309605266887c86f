import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Collateral } from '../../../../protocol/attestation/evidence-format.ts'
import { parseCrl } from '../../../../protocol/attestation/x509/parse-crl.ts'
import { crlIdOf, revocationStatus } from '../../../../protocol/attestation/x509/revocation.ts'
import { CRL_NEXT_UPDATE, CRL_THIS_UPDATE, type CrlParts, crlEntry, makeCrl } from '../../../support/crl.ts'
import { der, derInteger, derSequence, derTime } from '../../../support/der.ts'
import { derName, makePath, parsePath, testExtensions } from '../../../support/x509.ts'
import { signings, testKeyPair } from '../../../support/x509-signing.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const id = (name: string) => `subject:${createHash('sha256').update(derName(name)).digest('hex')}`
const critical = { id: '2.5.29.28', critical: true, value: derSequence() }

describe('a revocation list', () => {
  test('is read in all of its parts', () => {
    const crl = makeCrl({ revoked: [5, 0x1234, crlEntry(0xfedc, [{ id: '2.5.29.21', value: Buffer.of(10, 1, 1) }])] })
    expect(parseCrl(crl)).toMatchObject({
      issuerId: id('Test Intermediate'),
      thisUpdate: CRL_THIS_UPDATE,
      nextUpdate: CRL_NEXT_UPDATE,
      serialNumbers: new Set(['05', '1234', '00fedc']),
    })
  })

  test('may have nobody on it, and no extensions', () => {
    expect(parseCrl(makeCrl()).serialNumbers.size).toBe(0)
    expect(parseCrl(makeCrl({ extensions: [] })).serialNumbers.size).toBe(0)
    expect(parseCrl(makeCrl({ revoked: [1], extensions: [] })).serialNumbers.size).toBe(1)
  })

  test('may be long: more than 64 KiB', () => {
    const revoked = Array.from({ length: 4_000 }, (_, n) => n + 1)
    const crl = makeCrl({ revoked })
    expect(crl.length).toBeGreaterThan(65_536)
    expect(parseCrl(crl).serialNumbers.size).toBe(4_000)
  })

  const bad: [string, Partial<CrlParts> | Buffer][] = [
    ['of version 1', { version: Buffer.alloc(0) }],
    ['of version 3', { version: derInteger(2) }],
    ['with another algorithm inside', { innerAlgorithm: signings['ECDSA with SHA-384'].algorithm }],
    ['without the time of the next one', { nextUpdate: Buffer.alloc(0) }],
    ['with a time that is none', { thisUpdate: der(0x17, Buffer.from('261301000000Z')) }],
    ['with another time that is none', { nextUpdate: der(0x17, Buffer.from('260230000000Z')) }],
    ['without an issuer', { issuer: '' }],
    ['with a critical extension', { extensions: [critical] }],
    ['with a critical extension behind another', { extensions: [{ id: '2.5.29.20', value: derInteger(1) }, critical] }],
    ['with a critical extension of an entry', { revoked: [1, crlEntry(2, [critical])] }],
    ['with an entry without a date', { revoked: [derSequence(derInteger(1))] }],
    [
      'with an entry whose date is none',
      { revoked: [derSequence(derInteger(1), der(0x17, Buffer.from('269901000000Z')))] },
    ],
    [
      'with an entry of more parts',
      { revoked: [derSequence(derInteger(1), derTime(0), derSequence(), derInteger(1))] },
    ],
    ['with an entry that is no sequence', { revoked: [derInteger(1)] }],
    ['with more behind its parts', { tbsEnd: derInteger(1) }],
    ['with bytes behind it', { behind: Buffer.of(0) }],
    [
      'with a signature of no whole bytes',
      { changeSignature: (signature) => (signature.fill(0, signature.length - 1), signature), unusedBits: 1 },
    ],
    ['that is a certificate', makePath().leaf],
    ['that is nothing', Buffer.alloc(0)],
    ['that ends too early', makeCrl().subarray(0, -1)],
  ]

  test.each(bad)('%s is none', (_what, changes) => {
    const bytes = Buffer.isBuffer(changes) ? changes : makeCrl(changes)
    expect(() => parseCrl(bytes)).toThrow(malformed)
  })
})

describe('whether a certificate is revoked', () => {
  const path = makePath({ leaf: { serialNumber: 7 } })
  const { leaf, intermediate, root } = parsePath(path)
  const collateralOf = (changes: Partial<CrlParts> = {}, more: Partial<Collateral> = {}): Collateral => ({
    lookupId: crlIdOf(id('Test Intermediate')),
    kind: 'crl',
    issuedAt: CRL_THIS_UPDATE,
    nextUpdateAt: CRL_NEXT_UPDATE,
    body: makeCrl(changes),
    chain: [],
    ...more,
  })
  const now = CRL_THIS_UPDATE + 1
  const statusOf = (collateral: Collateral[], at = now) => revocationStatus(leaf, intermediate, collateral, at)

  test('says the list of its issuer', () => {
    expect(crlIdOf(leaf.issuerId)).toBe(`crl:${leaf.issuerId.slice(8)}`)
    expect(statusOf([collateralOf({ revoked: [6, 8] })])).toBe('good')
    expect(statusOf([collateralOf({ revoked: [6, 7] })])).toBe('revoked')
    expect(revocationStatus(intermediate, root, [collateralOf({ revoked: [1] })], now)).toBe('unknown')
  })

  test('nobody says without a list that counts', () => {
    const other = testKeyPair('P-256', 'root').privateKey
    const lists = {
      'that is not there': [],
      'of another name': [collateralOf({}, { lookupId: crlIdOf(id('Test Root')) })],
      'of another issuer under its name': [collateralOf({ issuer: 'Test Root' })],
      'that another key signed': [collateralOf({ signingKey: other, revoked: [7] })],
      'that was changed': [
        collateralOf({ changeSignature: (bytes) => (bytes.writeUInt8(1, bytes.length - 1), bytes) }),
      ],
      'of the future': [collateralOf({ thisUpdate: derTime(now + 60_000) })],
    }
    for (const [what, list] of Object.entries(lists)) expect(statusOf(list), what).toBe('unknown')
  })

  test('nobody says by a list whose issuer may not sign lists', () => {
    const { basicConstraints, keyUsage } = testExtensions
    for (const extensions of [[basicConstraints(true, 0), keyUsage('keyCertSign')], [basicConstraints(true, 0)]]) {
      const issuer = parsePath(makePath({ intermediate: { extensions } })).intermediate
      expect(revocationStatus(leaf, issuer, [collateralOf()], now)).toBe('unknown')
    }
  })

  test('a list that is out of date does not say that it is good, but does say that it is revoked', () => {
    expect(statusOf([collateralOf()], CRL_NEXT_UPDATE)).toBe('good')
    expect(statusOf([collateralOf()], CRL_NEXT_UPDATE + 1)).toBe('stale')
    expect(statusOf([collateralOf({ revoked: [7] })], CRL_NEXT_UPDATE + 1)).toBe('revoked')
    expect(statusOf([collateralOf()], CRL_THIS_UPDATE - 1)).toBe('unknown')
    expect(statusOf([collateralOf()], CRL_THIS_UPDATE)).toBe('good')
  })

  test('of several lists the worst counts, and a newer one makes up for an older', () => {
    const old = collateralOf({ nextUpdate: derTime(now - 1) })
    expect(statusOf([old, collateralOf()])).toBe('good')
    expect(statusOf([collateralOf(), collateralOf({ revoked: [7] })])).toBe('revoked')
  })
})
