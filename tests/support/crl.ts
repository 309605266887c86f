import type { KeyObject } from 'node:crypto'
import { toBase64url } from '../../protocol/encoding.ts'
import { der, derBits, derId, derInteger, derOctets, derSequence, derTime } from './der.ts'
import { derName, type TestExtension } from './x509.ts'
import { type Signing, signingOf, testKeyPair } from './x509-signing.ts'

/** Every part of a revocation list. What is given as bytes is written as it is. */
export interface CrlParts {
  version: Uint8Array
  innerAlgorithm: Uint8Array
  /** A common name, or a Name. */
  issuer: string | Uint8Array
  thisUpdate: Uint8Array
  /** Empty: without one. */
  nextUpdate: Uint8Array
  revoked: readonly (number | Uint8Array)[]
  extensions: readonly TestExtension[]
  tbsEnd: Uint8Array
  behind: Uint8Array
  signing: Signing
  signingKey: KeyObject
  changeSignature(signature: Buffer): Buffer
  /** Of the last byte of the signature. */
  unusedBits: number
}

export const CRL_THIS_UPDATE = Date.UTC(2026, 10, 1)
export const CRL_NEXT_UPDATE = Date.UTC(2026, 11, 1)

/** Of the authority `Test Intermediate` of `makePath`. */
export function makeCrl(changes: Partial<CrlParts> = {}): Buffer {
  const signing = changes.signing ?? signingOf('P-256')
  const parts: CrlParts = {
    version: derInteger(1),
    innerAlgorithm: signing.algorithm,
    issuer: 'Test Intermediate',
    thisUpdate: derTime(CRL_THIS_UPDATE),
    nextUpdate: derTime(CRL_NEXT_UPDATE),
    revoked: [],
    extensions: [{ id: '2.5.29.20', value: derInteger(1) }],
    tbsEnd: Buffer.alloc(0),
    behind: Buffer.alloc(0),
    signing,
    signingKey: testKeyPair('P-256', 'intermediate').privateKey,
    changeSignature: (signature) => signature,
    unusedBits: 0,
    ...changes,
  }
  const entries = parts.revoked.map((one) => (typeof one === 'number' ? crlEntry(one) : one))
  const tbs = derSequence(
    parts.version,
    parts.innerAlgorithm,
    derName(parts.issuer),
    parts.thisUpdate,
    parts.nextUpdate,
    ...(entries.length === 0 ? [] : [derSequence(...entries)]),
    ...(parts.extensions.length === 0 ? [] : [der(0xa0, derSequence(...parts.extensions.map(toExtension)))]),
    parts.tbsEnd,
  )
  const signature = parts.changeSignature(parts.signing.sign(tbs, parts.signingKey))
  return Buffer.concat([derSequence(tbs, parts.signing.algorithm, derBits(signature, parts.unusedBits)), parts.behind])
}

export function crlEntry(serialNumber: number, extensions: readonly TestExtension[] = []): Buffer {
  const more = extensions.length === 0 ? [] : [derSequence(...extensions.map(toExtension))]
  return derSequence(derInteger(serialNumber), derTime(CRL_THIS_UPDATE), ...more)
}

function toExtension({ id, critical = false, value }: TestExtension): Buffer {
  return derSequence(derId(id), ...(critical ? [Buffer.from('0101ff', 'hex')] : []), derOctets(value))
}

let issuers = 0
/** A list of an issuer that no other has. */
export function crlWish(changes: Partial<CrlParts> = {}) {
  return { kind: 'crl', body: toBase64url(makeCrl({ issuer: `Issuer ${++issuers}`, ...changes })) }
}
