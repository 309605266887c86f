import { type KeyObject, sign } from 'node:crypto'
import type { ExpectedEvidence, TrustAnchor } from '../../protocol/attestation/evidence-format.ts'
import type { Json } from '../../protocol/encoding.ts'
import { type CborValue, cbor, cborHead } from './cbor.ts'
import { type KeyPair, spkiOf, testKeyPair } from './x509-signing.ts'

export const currentClaimKeys = {
  nonce: 10,
  instanceId: 256,
  profile: 265,
  bootSeed: 268,
  clientId: 2394,
  lifecycle: 2395,
  implementationId: 2396,
  certificationReference: 2398,
  components: 2399,
  verificationService: 2400,
}
export const legacyClaimKeys = {
  profile: -75000,
  clientId: -75001,
  lifecycle: -75002,
  implementationId: -75003,
  bootSeed: -75004,
  certificationReference: -75005,
  components: -75006,
  noMeasurements: -75007,
  nonce: -75008,
  instanceId: -75009,
  verificationService: -75010,
}

export const psaProfiles = {
  tfm: { name: 'tag:psacertified.org,2023:psa#tfm', keys: currentClaimKeys },
  draft: { name: 'http://arm.com/psa/2.0.0', keys: { ...currentClaimKeys, bootSeed: 2397 } },
  legacy: { name: 'PSA_IOT_PROFILE_1', keys: legacyClaimKeys },
} as const
export type PsaProfile = keyof typeof psaProfiles

export const psaNonce = Buffer.alloc(32, 0x0e)
export const psaInstanceId = Buffer.from(`01${'15'.repeat(32)}`, 'hex')
export const psaImplementationId = Buffer.alloc(32, 0x1a)
export const psaBootSeed = Buffer.alloc(32, 0xb5)
export const psaSigner = Buffer.alloc(32, 0x51)
export const psaLookupId = `psa:${psaInstanceId.toString('hex')}`

export const componentKeys = { type: 1, measurement: 2, version: 4, signerId: 5, description: 6 }

/** One software component; `undefined` leaves a part out. */
export function psaComponent(parts: Partial<Record<keyof typeof componentKeys, CborValue | undefined>> = {}) {
  const all = {
    type: 'SPE',
    measurement: Buffer.alloc(32, 0x3e),
    version: '1.6.0',
    signerId: psaSigner,
    description: 'SHA256',
    ...parts,
  }
  return new Map(
    Object.entries(all).flatMap(([name, value]): [CborValue, CborValue][] =>
      value === undefined ? [] : [[componentKeys[name as keyof typeof componentKeys], value]],
    ),
  )
}

type ClaimName = keyof typeof legacyClaimKeys

/** One fault at a time: what is not given is as it should be, `undefined` leaves a claim out. */
export interface TokenChanges {
  profile?: PsaProfile
  claims?: Partial<Record<ClaimName, CborValue | undefined>>
  /** By their keys, behind the others. */
  moreClaims?: [CborValue, CborValue][]
  payload?: Uint8Array
  algorithm?: keyof typeof algorithms
  /** Behind the algorithm. */
  protectedHeaders?: [CborValue, CborValue][]
  protectedBytes?: Uint8Array
  unprotected?: CborValue
  /** Of the four parts. */
  changeParts?: (parts: CborValue[]) => CborValue
  signingKey?: KeyObject
  context?: string
  changeSignature?: (signature: Buffer) => Uint8Array
  tag?: Uint8Array
}

const algorithms = {
  ES256: { id: -7, hash: 'sha256', kind: 'P-256' },
  ES384: { id: -35, hash: 'sha384', kind: 'P-384' },
  ES512: { id: -36, hash: 'sha512', kind: 'P-521' },
} as const

/** What a token says, in the order in which its profile's claims stand above. */
export function psaPayload({ profile = 'tfm', claims = {}, moreClaims = [] }: TokenChanges = {}): Buffer {
  const { name, keys } = psaProfiles[profile]
  const values: Partial<Record<ClaimName, CborValue | undefined>> = {
    profile: name,
    nonce: psaNonce,
    instanceId: psaInstanceId,
    bootSeed: psaBootSeed,
    clientId: 1,
    lifecycle: 0x3000,
    implementationId: psaImplementationId,
    certificationReference: '1234567890123-12345',
    components: [psaComponent(), psaComponent({ type: 'NSPE', measurement: Buffer.alloc(32, 0x4e), version: '0.1.0' })],
    verificationService: 'https://verifier.example',
    ...claims,
  }
  const named = Object.entries(keys).flatMap(([claim, key]): [CborValue, CborValue][] => {
    const value = values[claim as ClaimName]
    return value === undefined ? [] : [[key, value]]
  })
  const entries = [...named, ...moreClaims]
  // Not a Map: it would take each key once.
  return Buffer.concat([cborHead(5, entries.length), ...entries.flat().map(cbor)])
}

export function psaKeyPair(algorithm: keyof typeof algorithms = 'ES256'): KeyPair {
  return testKeyPair(algorithms[algorithm].kind, 'psa')
}

export function makeToken(changes: TokenChanges = {}): Buffer {
  const {
    algorithm = 'ES256',
    protectedHeaders = [],
    unprotected = new Map(),
    changeParts = (parts) => parts,
  } = changes
  const { id, hash } = algorithms[algorithm]
  const {
    payload = psaPayload(changes),
    protectedBytes = cbor(new Map([[1, id], ...protectedHeaders])),
    signingKey = psaKeyPair(algorithm).privateKey,
    context = 'Signature1',
    changeSignature = (signature) => signature,
    tag = Buffer.of(0xd2),
  } = changes
  const signed = cbor([context, protectedBytes, Buffer.alloc(0), payload])
  const signature = changeSignature(sign(hash, signed, { key: signingKey, dsaEncoding: 'ieee-p1363' }))
  return Buffer.concat([tag, cbor(changeParts([protectedBytes, unprotected, payload, signature]))])
}

export function psaEvidence(token: Uint8Array) {
  return { format: 'psa', token: Buffer.from(token).toString('base64url') }
}

export function psaAnchor(key: { publicKey: KeyObject } = psaKeyPair()): TrustAnchor {
  return { lookupId: psaLookupId, kind: 'key', der: spkiOf(key) }
}

export const enrollingPsa: ExpectedEvidence = {
  binding: psaNonce,
  identityKey: new Uint8Array(1312),
  now: Date.UTC(2026, 10, 28),
  attester: { kind: 'enrolling', activation: undefined },
}

/** The reference value of what a token says that nobody changed. */
export const psaRelease = {
  implementationId: psaImplementationId.toString('hex'),
  components: [
    { type: 'SPE', measurement: '3e'.repeat(32), signerId: psaSigner.toString('hex'), version: '1.6.0' },
    { type: 'NSPE', measurement: '4e'.repeat(32), signerId: psaSigner.toString('hex'), version: '0.1.0' },
  ],
} satisfies Json
