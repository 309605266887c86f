import { expect, test } from 'vitest'
import { type ParsedCertificate, parseCertificate } from '../../../../protocol/attestation/x509/parse-certificate.ts'
import { verifyPath } from '../../../../protocol/attestation/x509/verify-path.ts'
import { derTime } from '../../../support/der.ts'
import {
  CERTIFICATE_NOW,
  type CertificateChanges,
  makeCertificate,
  makePath,
  parsePath,
  testExtensions,
} from '../../../support/x509.ts'
import { signings, spkiOf, testKeyPair } from '../../../support/x509-signing.ts'

const { basicConstraints, keyUsage } = testExtensions
const check = 'test.path'
const now = CERTIFICATE_NOW
const good = parsePath(makePath())

const refused = (name: string) => expect.objectContaining({ code: 'evidence_refused', check: `${check}.${name}` })

/** Of an authority, with a key of the given name, signed by another; on P-256. */
function authority(
  names: { subject: string; key: string; issuer: string; issuerKey: string },
  changes: CertificateChanges = {},
): ParsedCertificate {
  return certificate(names, { extensions: [basicConstraints(true), keyUsage('keyCertSign')], ...changes })
}

function certificate(
  { subject, key, issuer, issuerKey }: { subject: string; key: string; issuer: string; issuerKey: string },
  changes: CertificateChanges = {},
): ParsedCertificate {
  const { privateKey } = testKeyPair('P-256', issuerKey)
  const spki = spkiOf(testKeyPair('P-256', key))
  const signing = signings['ECDSA with SHA-256']
  return parseCertificate(makeCertificate({ subject, issuer, spki, signing, signingKey: privateKey, ...changes }))
}

/** From a leaf at the end upwards: names are levels, and so are keys. The last is the root. */
function chain(length: number, changes: Record<number, CertificateChanges> = {}): ParsedCertificate[] {
  return Array.from({ length }, (_, level) => {
    const above = String(level === length - 1 ? level : level + 1)
    const names = { subject: String(level), key: String(level), issuer: above, issuerKey: above }
    return level === 0 ? certificate(names, changes[level]) : authority(names, changes[level])
  })
}

function verifyChain(certificates: readonly ParsedCertificate[]) {
  const [leaf, ...authorities] = certificates as [ParsedCertificate, ...ParsedCertificate[]]
  return verifyPath({ leaf, intermediates: authorities.slice(0, -1), roots: authorities.slice(-1), now, check })
}

/** How often somebody looked at what a signature is over. */
function countSignatures(certificates: readonly ParsedCertificate[]): () => number {
  let count = 0
  for (const one of certificates) {
    const { tbs } = one
    Object.defineProperty(one, 'tbs', { get: () => [tbs, count++][0] })
  }
  return () => count
}

test('order, duplicates and strangers among the intermediates do not matter', () => {
  const [leaf, ...others] = chain(5)
  const [root] = others.slice(-1)
  const intermediates = [good.intermediate, ...others.slice(0, -1).reverse(), ...others, good.root]
  expect(verifyPath({ leaf: leaf as never, intermediates, roots: [good.root, root as never], now, check })).toEqual([
    leaf,
    ...others,
  ])
})

test('of several intermediates of one name the one is found that signed', () => {
  const names = { subject: 'Test Intermediate', issuer: 'Test Root', issuerKey: 'root' }
  const others = ['one', 'two', 'three'].map((key) => authority({ ...names, key }))
  const options = { leaf: good.leaf, roots: [good.root], now, check }
  expect(verifyPath({ ...options, intermediates: [...others, good.intermediate] })).toHaveLength(3)
  expect(() => verifyPath({ ...options, intermediates: others })).toThrow(refused('signature'))
})

test('a root that replaces another of its name is found, and each of the two signs for itself', () => {
  const newer = authority({ subject: 'Test Root', key: 'newer root', issuer: 'Test Root', issuerKey: 'newer root' })
  const options = { leaf: good.leaf, intermediates: [good.intermediate], now, check }
  expect(verifyPath({ ...options, roots: [newer, good.root] })).toHaveLength(3)
  expect(() => verifyPath({ ...options, roots: [newer] })).toThrow(refused('signature'))
})

test('a certificate of the evidence that says it is the root gains nothing', () => {
  const claimed = authority({ subject: 'Test Root', key: 'claimed', issuer: 'Test Root', issuerKey: 'claimed' })
  const below = authority({ subject: 'Test Below', key: 'below', issuer: 'Test Root', issuerKey: 'claimed' })
  const leaf = certificate({ subject: 'Test Leaf', key: 'leaf', issuer: 'Test Below', issuerKey: 'below' })
  const options = { leaf, intermediates: [below, claimed], now, check }
  expect(() => verifyPath({ ...options, roots: [good.root] })).toThrow(refused('signature'))
  expect(() => verifyPath({ ...options, roots: [] })).toThrow(refused('anchor'))
  expect(verifyPath({ ...options, roots: [claimed] })).toHaveLength(3)
})

test('the root itself, sent along with the evidence, does no harm and is no root', () => {
  const options = { leaf: good.leaf, intermediates: [good.root, good.intermediate], now, check }
  expect(verifyPath({ ...options, roots: [good.root] })).toHaveLength(3)
  expect(() => verifyPath({ ...options, roots: [] })).toThrow(refused('anchor'))
})

test('a root is no leaf, and a leaf that signed itself leads nowhere', () => {
  expect(() => verifyPath({ leaf: good.root, intermediates: [], roots: [good.root], now, check })).toThrow(
    refused('leaf'),
  )
  const alone = certificate({ subject: 'Alone', key: 'alone', issuer: 'Alone', issuerKey: 'alone' })
  expect(() => verifyPath({ leaf: alone, intermediates: [alone], roots: [alone], now, check })).toThrow(
    refused('anchor'),
  )
})

test('a path length counts the authorities below, from the root and from any intermediate', () => {
  const limited = (pathLength: number) => ({
    extensions: [basicConstraints(true, pathLength), keyUsage('keyCertSign')],
  })
  expect(verifyChain(chain(5, { 4: limited(3) }))).toHaveLength(5)
  expect(() => verifyChain(chain(5, { 4: limited(2) }))).toThrow(refused('path_length'))
  expect(verifyChain(chain(5, { 2: limited(1), 1: limited(0) }))).toHaveLength(5)
  expect(() => verifyChain(chain(5, { 2: limited(0) }))).toThrow(refused('path_length'))
})

test('an authority that certified a new key of its own is not counted in a path length', () => {
  const renewed = authority({
    subject: 'Test Intermediate',
    key: 'new',
    issuer: 'Test Intermediate',
    issuerKey: 'intermediate',
  })
  const leaf = certificate({ subject: 'Test Leaf', key: 'leaf', issuer: 'Test Intermediate', issuerKey: 'new' })
  const { intermediate, root } = good
  expect(intermediate.pathLength).toBe(0)
  expect(verifyPath({ leaf, intermediates: [renewed, intermediate], roots: [root], now, check })).toHaveLength(4)
})

test('a path has eight certificates at most', () => {
  expect(verifyChain(chain(8))).toHaveLength(8)
  expect(() => verifyChain(chain(9))).toThrow(refused('length'))
})

test('an authority that changed its name and kept its key is in a path under both', () => {
  const before = authority({ subject: 'Before', key: 'kept', issuer: 'Test Root', issuerKey: 'root' })
  const after = authority({ subject: 'After', key: 'kept', issuer: 'Before', issuerKey: 'kept' })
  const leaf = certificate({ subject: 'Leaf', key: 'leaf', issuer: 'After', issuerKey: 'kept' })
  expect(verifyPath({ leaf, intermediates: [after, before], roots: [good.root], now, check })).toHaveLength(4)
})

test('of two paths that go equally far the first one has the say, roots before others', () => {
  const names = { subject: 'Test Intermediate', key: 'intermediate', issuer: 'Test Root', issuerKey: 'root' }
  const none = certificate(names)
  const over = authority(names, { notAfter: derTime(now - 1000) })
  const options = { leaf: good.leaf, now, check }
  const inOrder = (intermediates: ParsedCertificate[], roots = [good.root]) =>
    verifyPath({ ...options, intermediates, roots })
  expect(() => inOrder([none, over])).toThrow(refused('authority'))
  expect(() => inOrder([over, none])).toThrow(refused('validity'))
  expect(() => inOrder([none], [over])).toThrow(refused('validity'))
})

test('authorities that certify each other lead nowhere', () => {
  const leaf = certificate({ subject: 'Leaf', key: 'leaf', issuer: 'A', issuerKey: 'a' })
  const a = authority({ subject: 'A', key: 'a', issuer: 'B', issuerKey: 'b' })
  const b = authority({ subject: 'B', key: 'b', issuer: 'A', issuerKey: 'a' })
  const count = countSignatures([leaf, a, b])
  expect(() => verifyPath({ leaf, intermediates: [a, b], roots: [good.root], now, check })).toThrow(refused('anchor'))
  expect(count()).toBe(2)
})

test('sixteen signatures are verified at most, in whatever the evidence holds', () => {
  const names = { subject: 'Test Intermediate', issuer: 'Test Root', issuerKey: 'root' }
  const strangers = Array.from({ length: 15 }, (_, serialNumber) =>
    authority({ ...names, key: 'stranger' }, { serialNumber }),
  )
  const options = { leaf: good.leaf, roots: [good.root], now, check }
  expect(verifyPath({ ...options, intermediates: [...strangers.slice(1), good.intermediate] })).toHaveLength(3)
  expect(() => verifyPath({ ...options, intermediates: [...strangers, good.intermediate] })).toThrow(refused('length'))

  // Four certificates of each authority: 4 ^ 6 paths, none of which has a root.
  const [leaf, ...authorities] = chain(8).slice(0, 7) as [ParsedCertificate, ...ParsedCertificate[]]
  const copies = authorities.flatMap((one) => Array.from({ length: 4 }, () => ({ ...one })))
  const count = countSignatures([leaf, ...copies])
  expect(() => verifyPath({ leaf, intermediates: copies, roots: [good.root], now, check })).toThrow(refused('anchor'))
  expect(count()).toBe(16)
})
