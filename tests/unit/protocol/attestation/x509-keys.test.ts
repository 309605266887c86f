import type { KeyObject } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { parseCertificate } from '../../../../protocol/attestation/x509/parse-certificate.ts'
import {
  findSignatureAlgorithm,
  isSignedBy,
  isStrongKey,
} from '../../../../protocol/attestation/x509/signature-algorithms.ts'
import { makePath } from '../../../support/x509.ts'
import { type KeyKind, pss, signings, testKeyPair } from '../../../support/x509-signing.ts'

/** RSA keys of thousands of bits take seconds to make. */
const rsa = (modulusLength: number, publicExponent: bigint) =>
  ({ asymmetricKeyType: 'rsa', asymmetricKeyDetails: { modulusLength, publicExponent } }) as KeyObject

describe('a key is strong', () => {
  test.each<[boolean, number, bigint]>([
    [true, 2048, 65_537n],
    [true, 8192, 65_537n],
    [true, 3072, 2n ** 32n - 1n],
    [false, 2047, 65_537n],
    [false, 8193, 65_537n],
    [false, 2048, 65_535n],
    [false, 2048, 3n],
    [false, 2048, 2n ** 32n],
    [false, 2048, 2n ** 32n + 1n],
  ])('(%s) of %i bits of RSA with the exponent %i', (isStrong, modulusLength, publicExponent) => {
    expect(isStrongKey(rsa(modulusLength, publicExponent))).toBe(isStrong)
  })

  test.each<[boolean, KeyKind]>([
    [true, 'P-256'],
    [true, 'P-384'],
    [true, 'P-521'],
    [false, 'P-224'],
    [false, 'Ed25519'],
  ])('(%s) of the kind %s', (isStrong, kind) => {
    expect(isStrongKey(testKeyPair(kind).publicKey)).toBe(isStrong)
  })

  test('not when nothing is known of it', () => {
    expect(isStrongKey({ asymmetricKeyType: 'rsa' } as KeyObject)).toBe(false)
    expect(isStrongKey({ asymmetricKeyType: 'ec' } as KeyObject)).toBe(false)
  })
})

test('of every algorithm that is known, those with SHA-256, SHA-384 and SHA-512 are supported', () => {
  const supported = Object.entries(signings).filter(
    ([, { algorithm }]) => findSignatureAlgorithm(algorithm) !== undefined,
  )
  expect(supported.map(([name]) => name)).toEqual(
    Object.keys(signings).filter((name) => /SHA-(256|384|512)/.test(name)),
  )
})

test('what is signed with an algorithm that is not supported is signed by nobody', () => {
  const { leaf, keys } = makePath({ leaf: { signing: signings['ECDSA with SHA-1'] } })
  expect(isSignedBy(parseCertificate(leaf), keys.intermediate.publicKey)).toBe(false)
  const { leaf: good } = makePath()
  expect(isSignedBy(parseCertificate(good), keys.intermediate.publicKey)).toBe(true)
  expect(isSignedBy(parseCertificate(good), testKeyPair('RSA-2048').publicKey)).toBe(false)
})

test('PSS has a salt as long as its hash, whatever else is written down', () => {
  for (const [hash, saltLength] of [
    ['SHA256', 32],
    ['SHA384', 48],
    ['SHA512', 64],
  ] as const) {
    for (const withNull of [true, false]) {
      for (const trailer of [undefined, 1]) {
        const given = { hash, withNull, ...(trailer === undefined ? {} : { trailer }) }
        const find = (length: number) => findSignatureAlgorithm(pss({ ...given, saltLength: length }).algorithm)
        expect(find(saltLength)).toEqual({ keyType: 'rsa', hash: hash.toLowerCase(), saltLength })
        expect([find(saltLength - 1), find(saltLength + 1)]).toEqual([undefined, undefined])
      }
    }
  }
})
