import { createHash, type KeyObject, sign } from 'node:crypto'
import type { ExpectedEvidence } from '../../../protocol/attestation/evidence-format.ts'
import { toPem } from '../../../protocol/attestation/x509/pem.ts'
import { CERTIFICATE_NOW } from '../x509.ts'
import { pckCertificate, tdxAuthority, tdxKeys, tdxRootCertificate } from './platform.ts'

export const tdxBinding = Buffer.alloc(32, 0xb1)
export const enrollingTdx: ExpectedEvidence = {
  binding: tdxBinding,
  identityKey: new Uint8Array(1312),
  now: CERTIFICATE_NOW,
  attester: { kind: 'enrolling', activation: undefined },
}

/** Parts of a TD report, in order, as they are when nobody changes them. */
const report10 = {
  teeTcbSvn: Buffer.from('03000500000000000000000000000000', 'hex'),
  mrSeam: Buffer.alloc(48, 0x5e),
  mrSignerSeam: Buffer.alloc(48),
  seamAttributes: Buffer.alloc(8),
  tdAttributes: Buffer.from('0000001000000000', 'hex'),
  xfam: Buffer.from('e702060000000000', 'hex'),
  mrTd: Buffer.alloc(48, 0xd0),
  mrConfigId: Buffer.alloc(48, 0xc0),
  mrOwner: Buffer.alloc(48, 0x01),
  mrOwnerConfig: Buffer.alloc(48, 0x02),
  rtmr0: Buffer.alloc(48, 0x10),
  rtmr1: Buffer.alloc(48, 0x11),
  rtmr2: Buffer.alloc(48, 0x12),
  rtmr3: Buffer.alloc(48, 0x13),
  reportData: Buffer.concat([tdxBinding, Buffer.alloc(32)]),
}
const report15 = { teeTcbSvn2: Buffer.from('03000500000000000000000000000000', 'hex'), mrServiceTd: Buffer.alloc(48) }

/** Of the quoting enclave, in order. */
const qeReport = {
  cpuSvn: Buffer.alloc(16, 5),
  miscSelect: Buffer.alloc(4),
  reserved1: Buffer.alloc(28),
  attributes: Buffer.from('11000000000000000000000000000000', 'hex'),
  mrEnclave: Buffer.alloc(32, 0xee),
  reserved2: Buffer.alloc(32),
  mrSigner: Buffer.alloc(32, 0xdc),
  reserved3: Buffer.alloc(96),
  isvProdId: Buffer.from('0200', 'hex'),
  isvSvn: Buffer.from('0400', 'hex'),
  reserved4: Buffer.alloc(60),
}

/** One fault at a time: what is not given is as it should be, and signed as it is. */
export interface QuoteChanges {
  version?: 4 | 5
  /** Of version 5. */
  report?: '1.0' | '1.5'
  header?: Partial<Record<'version' | 'keyType' | 'teeType' | 'reserved' | 'vendor' | 'userData', Uint8Array>>
  bodyType?: number
  bodyLength?: number
  td?: Partial<Record<keyof typeof report10 | keyof typeof report15, Uint8Array>>
  qe?: Partial<Record<keyof typeof qeReport | 'reportData', Uint8Array>>
  attestationKey?: Uint8Array
  authData?: Uint8Array
  authLength?: number
  certificates?: readonly Uint8Array[]
  pem?: Uint8Array
  outerType?: number
  innerType?: number
  /** Added to the lengths, whatever there is. */
  longer?: { signatureData?: number; outer?: number; inner?: number }
  /** Behind the parts of the inner data, the outer data and the signature data, and behind the quote. */
  behind?: { inner?: Uint8Array; outer?: Uint8Array; signatureData?: Uint8Array; quote?: Uint8Array }
  signingKey?: KeyObject
  qeSigningKey?: KeyObject
}

const u16 = (value: number) => Buffer.of(value & 0xff, value >> 8)
const u32 = (value: number) => Buffer.concat([u16(value & 0xffff), u16(value >>> 16)])
const toPair = (bytes: Uint8Array, key: KeyObject) => sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })
const nothing = Buffer.alloc(0)

/** The 64 bytes of its point. */
export function pointOf(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-64)
}

export function makeQuote(changes: QuoteChanges = {}): Buffer {
  const { version = 4, report = '1.0', longer = {}, behind = {} } = changes
  const { attestationKey = pointOf(tdxKeys.attestation.publicKey), authData = Buffer.alloc(32, 0xa0) } = changes
  const header = {
    version: u16(version),
    keyType: u16(2),
    teeType: u32(0x81),
    reserved: Buffer.alloc(4),
    vendor: Buffer.from('939a7233f79c4ca9940a0db3957f0607', 'hex'),
    userData: Buffer.alloc(20, 0x0e),
    ...changes.header,
  }
  const parts = { ...report10, ...(report === '1.5' && report15), ...changes.td }
  const body = Buffer.concat(Object.values(parts))
  const { bodyType = report === '1.5' ? 3 : 2, bodyLength = body.length } = changes
  const descriptor = version === 5 ? Buffer.concat([u16(bodyType), u32(bodyLength)]) : nothing
  const signed = Buffer.concat([...Object.values(header), descriptor, body])
  const bound = createHash('sha256').update(attestationKey).update(authData).digest()
  const enclave = Buffer.concat(
    Object.values({ ...qeReport, reportData: Buffer.concat([bound, Buffer.alloc(32)]), ...changes.qe }),
  )
  const certificates = changes.certificates ?? [pckCertificate(), tdxAuthority(), tdxRootCertificate()]
  const pem = changes.pem ?? Buffer.from(`${certificates.map((one) => toPem(one, 'CERTIFICATE')).join('')}\0`)
  const inner = Buffer.concat([pem, behind.inner ?? nothing])
  const outer = Buffer.concat([
    enclave,
    toPair(enclave, changes.qeSigningKey ?? tdxKeys.pck.privateKey),
    u16(changes.authLength ?? authData.length),
    authData,
    u16(changes.innerType ?? 5),
    u32(inner.length + (longer.inner ?? 0)),
    inner,
    behind.outer ?? nothing,
  ])
  const signatureData = Buffer.concat([
    toPair(signed, changes.signingKey ?? tdxKeys.attestation.privateKey),
    attestationKey,
    u16(changes.outerType ?? 6),
    u32(outer.length + (longer.outer ?? 0)),
    outer,
    behind.signatureData ?? nothing,
  ])
  const length = u32(signatureData.length + (longer.signatureData ?? 0))
  return Buffer.concat([signed, length, signatureData, behind.quote ?? nothing])
}

export function tdxEvidence(quote: Uint8Array) {
  return { format: 'tdx', quote: Buffer.from(quote).toString('base64url') }
}

/** The reference value of the trust domain of a quote that nobody changed. */
export const tdxTrustDomain = Object.fromEntries(
  (['mrTd', 'rtmr0', 'rtmr1', 'rtmr2', 'rtmr3', 'mrConfigId', 'mrOwner', 'mrOwnerConfig'] as const).map((name) => [
    name,
    report10[name].toString('hex'),
  ]),
)
