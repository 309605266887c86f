import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { der, derId, derInteger, derNull, derSequence } from './der.ts'

export interface KeyPair {
  publicKey: KeyObject
  privateKey: KeyObject
}

const keyKinds = {
  'RSA-1024': () => generateKeyPairSync('rsa', { modulusLength: 1024 }),
  'RSA-2048': () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  'RSA-3072': () => generateKeyPairSync('rsa', { modulusLength: 3072 }),
  'RSA-4096': () => generateKeyPairSync('rsa', { modulusLength: 4096 }),
  'RSA-2048 with exponent 3': () => generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }),
  'P-224': () => generateKeyPairSync('ec', { namedCurve: 'P-224' }),
  'P-256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'P-384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  'P-521': () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  Ed25519: () => generateKeyPairSync('ed25519'),
  'ML-DSA-44': () => generateKeyPairSync('ml-dsa-44'),
  'ML-DSA-65': () => generateKeyPairSync('ml-dsa-65'),
  'ML-DSA-87': () => generateKeyPairSync('ml-dsa-87'),
} satisfies Record<string, () => KeyPair>
export type KeyKind = keyof typeof keyKinds

const keyPairs = new Map<string, KeyPair>()

/** The same one for the same kind and name: RSA keys take long to make. */
export function testKeyPair(kind: KeyKind, name = ''): KeyPair {
  const known = keyPairs.get(`${kind} ${name}`)
  if (known !== undefined) return known
  const made = keyKinds[kind]()
  keyPairs.set(`${kind} ${name}`, made)
  return made
}

const digests = {
  SHA1: '1.3.14.3.2.26',
  SHA256: '2.16.840.1.101.3.4.2.1',
  SHA384: '2.16.840.1.101.3.4.2.2',
  SHA512: '2.16.840.1.101.3.4.2.3',
}
type Digest = keyof typeof digests

/** RSASSA-PSS-params (RFC 4055 §3.1), for every combination of what may be written or left out. */
export function pssAlgorithm(given: {
  hash: Digest
  maskHash?: Digest
  saltLength: number
  withNull?: boolean
  trailer?: number
}): Buffer {
  const { hash, maskHash = hash, saltLength, withNull = true, trailer } = given
  const digest = (name: Digest) => derSequence(derId(digests[name]), ...(withNull ? [derNull] : []))
  return derSequence(
    derId('1.2.840.113549.1.1.10'),
    derSequence(
      der(0xa0, digest(hash)),
      der(0xa1, derSequence(derId('1.2.840.113549.1.1.8'), digest(maskHash))),
      der(0xa2, derInteger(saltLength)),
      ...(trailer === undefined ? [] : [der(0xa3, derInteger(trailer))]),
    ),
  )
}

/** How to sign, and how that is written down. */
export interface Signing {
  algorithm: Buffer
  sign(bytes: Uint8Array, key: KeyObject): Buffer
}

function pkcs1(hash: string, last: number, ...parameters: Buffer[]): Signing {
  return {
    algorithm: derSequence(derId(`1.2.840.113549.1.1.${last}`), ...parameters),
    sign: (bytes, key) => sign(hash, bytes, key),
  }
}

export function pss(given: Parameters<typeof pssAlgorithm>[0]): Signing {
  const { hash, saltLength } = given
  return {
    algorithm: pssAlgorithm(given),
    sign: (bytes, key) => sign(hash, bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }),
  }
}

function ecdsa(hash: string, id: string): Signing {
  return { algorithm: derSequence(derId(id)), sign: (bytes, key) => sign(hash, bytes, key) }
}

export const signings = {
  'RSA with MD5': pkcs1('MD5', 4, derNull),
  'RSA with SHA-1': pkcs1('SHA1', 5, derNull),
  'RSA with SHA-224': pkcs1('SHA224', 14, derNull),
  'RSA with SHA-256': pkcs1('SHA256', 11, derNull),
  'RSA with SHA-256, without NULL': pkcs1('SHA256', 11),
  'RSA with SHA-384': pkcs1('SHA384', 12, derNull),
  'RSA with SHA-512': pkcs1('SHA512', 13, derNull),
  'PSS with SHA-1': pss({ hash: 'SHA1', saltLength: 20 }),
  'PSS with SHA-256': pss({ hash: 'SHA256', saltLength: 32 }),
  'PSS with SHA-256, without NULL': pss({ hash: 'SHA256', saltLength: 32, withNull: false }),
  'PSS with SHA-384': pss({ hash: 'SHA384', saltLength: 48 }),
  'PSS with SHA-384 and the trailer': pss({ hash: 'SHA384', saltLength: 48, trailer: 1 }),
  'PSS with SHA-512': pss({ hash: 'SHA512', saltLength: 64 }),
  'ECDSA with SHA-1': ecdsa('SHA1', '1.2.840.10045.4.1'),
  'ECDSA with SHA-256': ecdsa('SHA256', '1.2.840.10045.4.3.2'),
  'ECDSA with SHA-384': ecdsa('SHA384', '1.2.840.10045.4.3.3'),
  'ECDSA with SHA-512': ecdsa('SHA512', '1.2.840.10045.4.3.4'),
  Ed25519: { algorithm: derSequence(derId('1.3.101.112')), sign: (bytes, key) => sign(null, bytes, key) },
} satisfies Record<string, Signing>

export function spkiOf({ publicKey }: { publicKey: KeyObject }): Buffer {
  return publicKey.export({ format: 'der', type: 'spki' })
}

/** SHA-256, or of the curve's own strength. */
export function signingOf(kind: KeyKind): Signing {
  if (kind.startsWith('RSA')) return signings['RSA with SHA-256']
  if (kind === 'Ed25519') return signings.Ed25519
  return (
    { 'P-384': signings['ECDSA with SHA-384'], 'P-521': signings['ECDSA with SHA-512'] }[kind as string] ??
    signings['ECDSA with SHA-256']
  )
}
