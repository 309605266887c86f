import { createHash, type KeyObject, sign } from 'node:crypto'
import type {
  Attester,
  ExpectedEvidence,
  TrustAnchor,
  VerifiedEvidence,
} from '../../../protocol/attestation/evidence-format.ts'
import { appleAppAttest } from '../../../protocol/attestation/formats/apple-app-attest.ts'
import { parseCertificate } from '../../../protocol/attestation/x509/parse-certificate.ts'
import type { Json } from '../../../protocol/encoding.ts'
import { type CborValue, cbor } from '../cbor.ts'
import { der, derOctets, derSequence, derTime } from '../der.ts'
import {
  CERTIFICATE_NOW,
  type CertificateChanges,
  makeCertificate,
  type TestExtension,
  testExtensions,
} from '../x509.ts'
import { type KeyPair, signings, spkiOf, testKeyPair } from '../x509-signing.ts'

export const APP_ATTEST_NOW = CERTIFICATE_NOW
export const APP_ID = 'ABCDE12345.org.example.edge'
export const NONCE_EXTENSION = '1.2.840.113635.100.8.2'
export const appAttestBinding = Buffer.alloc(32, 0xa7)
/** The reference value of the app of evidence that nobody changed. */
export const appAttestApp = { appId: APP_ID } satisfies Json
export const appAttestKey = () => testKeyPair('P-256', 'secure enclave')

const sha256 = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest()
const { basicConstraints, keyUsage } = testExtensions

/** What iOS 27 says besides; older systems have none. */
export const systemExtensions = (category = 4, version = '7.1') =>
  new Map<CborValue, CborValue>([
    ['apple_bundle_version_01', version],
    ['apple_validation_category_01', Buffer.of(category, 0, 0, 0)],
  ])

/** One fault at a time: what is not given is as it should be. What is bytes is written as it is. */
export interface DataChanges {
  appId?: string
  flags?: number
  counter?: number
  aaguid?: Uint8Array
  credentialIdLength?: number
  credentialId?: Uint8Array
  credentialKey?: Uint8Array
  extensions?: Uint8Array | ReadonlyMap<CborValue, CborValue>
}

function toExtensions(extensions: DataChanges['extensions']): Uint8Array {
  if (extensions === undefined) return Buffer.alloc(0)
  return extensions instanceof Uint8Array ? extensions : cbor(extensions)
}

function header({ appId = APP_ID, flags = 0x40, counter = 0 }: DataChanges): Buffer {
  const bytes = Buffer.concat([sha256(Buffer.from(appId)), Buffer.of(flags), Buffer.alloc(4)])
  bytes.writeUInt32BE(counter, 33)
  return bytes
}

export const pointOf = (key: KeyPair) => spkiOf(key).subarray(-65)
export const keyIdOf = (key: KeyPair) => sha256(pointOf(key))

export function coseKey(point: Uint8Array): Buffer {
  const [x, y] = [point.subarray(1, 33), point.subarray(33)]
  return cbor(
    new Map<CborValue, CborValue>([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, x],
      [-3, y],
    ]),
  )
}

export function attestedData(changes: DataChanges = {}, key = appAttestKey()): Buffer {
  const { credentialIdLength = 32, credentialId = keyIdOf(key), credentialKey = coseKey(pointOf(key)) } = changes
  const { aaguid = Buffer.from('appattest\0\0\0\0\0\0\0') } = changes
  const length = Buffer.of(credentialIdLength >> 8, credentialIdLength & 0xff)
  return Buffer.concat([header(changes), aaguid, length, credentialId, credentialKey, toExtensions(changes.extensions)])
}

export const nonceOf = (data: Uint8Array, binding: Uint8Array = appAttestBinding) => sha256(data, binding)

export function nonceExtension(nonce: Uint8Array): TestExtension {
  return { id: NONCE_EXTENSION, value: derSequence(der(0xa1, derOctets(nonce))) }
}

export interface AttestationChanges {
  key?: KeyPair
  binding?: Uint8Array
  data?: DataChanges
  /** In place of the whole extension; `null` leaves it out. */
  nonce?: TestExtension | null
  root?: CertificateChanges
  intermediate?: CertificateChanges
  leaf?: CertificateChanges
  /** Of the attestation object. */
  change?: (members: Map<string, CborValue>) => CborValue
  changeStatement?: (members: Map<string, CborValue>) => CborValue
}

/** Leaf, intermediate, root: as Apple has them, on P-256 and P-384. */
function makeChain(
  changes: AttestationChanges,
  key: KeyPair,
  nonce: readonly TestExtension[],
): [Buffer, Buffer, Buffer] {
  const keys = { root: testKeyPair('P-384', 'app attest root'), ca: testKeyPair('P-384', 'app attest authority') }
  const certify = (issuer: string, subject: string, of: KeyPair, signingKey: KeyObject, more: CertificateChanges) =>
    makeCertificate({ issuer, subject, spki: spkiOf(of), signing: signings['ECDSA with SHA-384'], signingKey, ...more })
  const leaf = certify('App Attest CA', keyIdOf(key).toString('hex'), key, keys.ca.privateKey, {
    signing: signings['ECDSA with SHA-256'],
    notBefore: derTime(APP_ATTEST_NOW - 86_400_000),
    notAfter: derTime(APP_ATTEST_NOW + 2 * 86_400_000),
    extensions: [basicConstraints(false), keyUsage('digitalSignature', 'nonRepudiation'), ...nonce],
    ...changes.leaf,
  })
  const ofAuthority = keyUsage('keyCertSign', 'crlSign')
  const intermediate = certify('App Attest Root', 'App Attest CA', keys.ca, keys.root.privateKey, {
    extensions: [basicConstraints(true, 0), ofAuthority],
    ...changes.intermediate,
  })
  const root = certify('App Attest Root', 'App Attest Root', keys.root, keys.root.privateKey, {
    extensions: [basicConstraints(true), ofAuthority],
    ...changes.root,
  })
  return [leaf, intermediate, root]
}

/** What `attestKey` gives. */
export function makeAttestation(changes: AttestationChanges = {}): Buffer {
  const { key = appAttestKey(), binding, data: changedData, nonce } = changes
  const { change = (members) => members, changeStatement = (members) => members } = changes
  const data = attestedData(changedData, key)
  const extension = nonce === undefined ? nonceExtension(nonceOf(data, binding)) : nonce
  const [leaf, intermediate] = makeChain(changes, key, extension === null ? [] : [extension])
  const statement = new Map<string, CborValue>([
    ['x5c', [leaf, intermediate]],
    ['receipt', Buffer.from('a receipt, which is opaque')],
  ])
  const members: [string, CborValue][] = [
    ['fmt', 'apple-appattest'],
    ['attStmt', changeStatement(statement)],
    ['authData', data],
  ]
  return cbor(change(new Map(members)))
}

export interface AssertionChanges {
  key?: KeyPair
  binding?: Uint8Array
  data?: DataChanges
  signature?: Uint8Array
  change?: (members: Map<string, CborValue>) => CborValue
}

/** What `generateAssertion` gives. */
export function makeAssertion(changes: AssertionChanges = {}): Buffer {
  const { key = appAttestKey(), binding, data: changedData, change = (members) => members } = changes
  const data = Buffer.concat([header({ counter: 1, ...changedData }), toExtensions(changedData?.extensions)])
  const signature = changes.signature ?? sign('sha256', nonceOf(data, binding), key.privateKey)
  const members: [string, CborValue][] = [
    ['signature', signature],
    ['authenticatorData', data],
  ]
  return cbor(change(new Map(members)))
}

export const attestationEvidence = (attestation: Uint8Array = makeAttestation()) => ({
  format: 'apple-app-attest',
  attestation: Buffer.from(attestation).toString('base64url'),
})
export const assertionEvidence = (assertion: Uint8Array = makeAssertion()) => ({
  format: 'apple-app-attest',
  assertion: Buffer.from(assertion).toString('base64url'),
})

function toAnchor(kind: TrustAnchor['kind'], der: Uint8Array): TrustAnchor {
  return { lookupId: parseCertificate(der).subjectId, kind, der }
}

/** A signature is another one each time. */
const [, authority, root] = makeChain({}, appAttestKey(), [])
export const appAttestRoot = toAnchor('root', root)
export const appAttestAuthority = toAnchor('intermediate', authority)
export const otherAppAttestRoot = (changes: CertificateChanges = {}) =>
  toAnchor('root', makeChain({ root: changes }, appAttestKey(), [])[2])

/** Evidence as far as it is taken. */
export function verifyAppAttest(
  evidence: Record<string, Json>,
  expected = enrollingAppAttest,
  anchors: readonly TrustAnchor[] = [appAttestRoot],
): VerifiedEvidence {
  return appleAppAttest.parse(evidence).verify(anchors, expected)
}

export const enrollingAppAttest: ExpectedEvidence = {
  binding: appAttestBinding,
  identityKey: new Uint8Array(1312),
  now: APP_ATTEST_NOW,
  attester: { kind: 'enrolling', activation: undefined },
}

export function knownAppAttest(
  attester: Attester | undefined,
  changes: Partial<ExpectedEvidence> = {},
): ExpectedEvidence {
  if (attester === undefined) throw new Error('There is no attester.')
  return { ...enrollingAppAttest, attester: { kind: 'known', ...attester }, ...changes }
}
