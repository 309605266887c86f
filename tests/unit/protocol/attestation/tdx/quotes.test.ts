import { describe, expect, test } from 'vitest'
import type { ExpectedEvidence, TrustAnchor } from '../../../../../protocol/attestation/evidence-format.ts'
import { tdx } from '../../../../../protocol/attestation/formats/tdx.ts'
import { toPem } from '../../../../../protocol/attestation/x509/pem.ts'
import { der, derId, derInteger, derOctets, derSequence, derTime } from '../../../../support/der.ts'
import {
  type PlatformChanges,
  pckCertificate,
  sgxExtension,
  TDX_FMSPC,
  tdxAnchor,
  tdxAuthority,
  tdxRootCertificate,
} from '../../../../support/tdx/platform.ts'
import {
  enrollingTdx,
  makeQuote,
  pointOf,
  type QuoteChanges,
  tdxEvidence,
  tdxTrustDomain,
} from '../../../../support/tdx/quote.ts'
import { testExtensions } from '../../../../support/x509.ts'
import { spkiOf, testKeyPair } from '../../../../support/x509-signing.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })
const other = testKeyPair('P-256', 'tdx other')

function verify(
  changes: QuoteChanges = {},
  expected: Partial<ExpectedEvidence> = {},
  anchors: readonly TrustAnchor[] = [tdxAnchor()],
) {
  return tdx.parse(tdxEvidence(makeQuote(changes))).verify(anchors, { ...enrollingTdx, ...expected })
}
const parse = (changes: QuoteChanges) => tdx.parse(tdxEvidence(makeQuote(changes)))

describe('a quote', () => {
  test.each<[string, QuoteChanges]>([
    ['of version 4', {}],
    ['of version 5 with a report of TDX 1.0', { version: 5 }],
    ['of version 5 with a report of TDX 1.5', { version: 5, report: '1.5' }],
    ['without authentication data', { authData: Buffer.alloc(0) }],
    [
      'without a NUL behind its chain',
      { pem: Buffer.from([pckCertificate(), tdxAuthority()].map((one) => toPem(one, 'CERTIFICATE')).join('')) },
    ],
    ['with zeros behind it', { behind: { quote: Buffer.alloc(3065) } }],
    [
      'with four certificates',
      { certificates: [pckCertificate(), tdxAuthority(), tdxRootCertificate(), tdxRootCertificate()] },
    ],
    ['without the root in its chain', { certificates: [pckCertificate(), tdxAuthority()] }],
  ])('%s is verified, and has no attester', (_, changes) => {
    const { attester, claims } = verify(changes)
    expect(attester).toBeUndefined()
    expect(claims).toMatchObject({
      version: changes.version ?? 4,
      trustDomain: { ...tdxTrustDomain, attributes: '0000000010000000', xfam: 'e702060000000000' },
      platform: { fmspc: TDX_FMSPC, pceId: '0000', pceSvn: 11, components: Array.from({ length: 16 }, () => 5) },
      qe: { isvProdId: 2, isvSvn: 4, mrSigner: 'dc'.repeat(32) },
      revocation: ['unknown', 'unknown'],
      qeIdentity: null,
      tcbInfo: null,
    })
    const isLonger = changes.report === '1.5'
    expect(JSON.stringify(claims).includes('mrServiceTd')).toBe(isLonger)
    expect(Object.keys((claims as { trustDomain: object }).trustDomain).includes('mrServiceTd')).toBe(isLonger)
  })

  test('of TDX 1.5 says what runs now', () => {
    const { claims } = verify({ version: 5, report: '1.5', td: { mrServiceTd: Buffer.alloc(48, 7) } })
    expect(claims).toMatchObject({
      module: { svn: '03000500000000000000000000000000', currentSvn: '03000500000000000000000000000000' },
      trustDomain: { mrServiceTd: '07'.repeat(48) },
    })
  })

  test('names what it is held against, before anything is verified', () => {
    const { trustAnchorIds, collateralIds } = parse({})
    expect(trustAnchorIds).toContain(tdxAnchor().lookupId)
    expect(trustAnchorIds).toHaveLength(2)
    expect(collateralIds).toEqual([
      ...trustAnchorIds.map((id) => id.replace('subject:', 'crl:')),
      `tdx-tcb-info:${TDX_FMSPC}`,
      'tdx-qe-identity:TD_QE',
    ])
  })
})

test.each<[string, QuoteChanges]>([
  ['of another version', { header: { version: Buffer.of(3, 0) } }],
  ['of a later version, in the form of ours', { version: 5, header: { version: Buffer.of(6, 0) } }],
  ['of a version that has two bytes', { header: { version: Buffer.of(4, 1) } }],
  ['with another kind of key', { header: { keyType: Buffer.of(3, 0) } }],
  ['of SGX', { header: { teeType: Buffer.alloc(4) } }],
  ['of a TEE type that begins like ours', { header: { teeType: Buffer.of(0x81, 0, 0, 1) } }],
  ["of another vendor's enclave", { header: { vendor: Buffer.alloc(16) } }],
  ['that is an enclave of SGX', { version: 5, bodyType: 1 }],
  ['of an unknown report', { version: 5, report: '1.5', bodyType: 4 }],
  ['whose report is longer than its type', { version: 5, report: '1.5', bodyType: 2 }],
  ['whose report is shorter than its type', { version: 5, bodyType: 3 }],
  ['whose report has no length', { version: 5, bodyLength: 0 }],
  ['with other certification data', { outerType: 5 }],
  ['with other certificates', { innerType: 4 }],
  ['whose signature data are longer than said', { behind: { signatureData: Buffer.alloc(1) } }],
  ['whose certification data are longer than said', { behind: { outer: Buffer.alloc(1) } }],
  ['whose signature data end too early', { longer: { signatureData: 1 } }],
  ['whose certification data end too early', { longer: { outer: 1 } }],
  ['whose chain ends too early', { longer: { inner: 1 } }],
  ['whose chain goes on', { longer: { inner: -1 } }],
  ['whose authentication data end elsewhere', { authLength: 31 }],
  ['with something behind it', { behind: { quote: Buffer.of(0, 0, 1) } }],
  ['with a key that is no point', { attestationKey: Buffer.alloc(64, 1) }],
  ['without certificates', { pem: Buffer.of(0) }],
  ['with five certificates', { certificates: Array.from({ length: 5 }, () => pckCertificate()) }],
  ['with half a certificate', { pem: Buffer.from('-----BEGIN CERTIFICATE-----\nMAA=\n') }],
  [
    'with a certificate that is none',
    { pem: Buffer.from('-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n') },
  ],
  ['that is too long', { behind: { quote: Buffer.alloc(16 << 10) } }],
])('a quote %s is malformed', (_, changes) => {
  expect(() => parse(changes)).toThrow(malformed)
})

test.each([{}, { quote: 'AA' }, { quote: 5 }, { quote: tdxEvidence(makeQuote()).quote, more: 1 }])(
  'evidence that is not a quote alone is malformed: %#',
  (members) => {
    expect(() => tdx.parse({ format: 'tdx', ...members })).toThrow(malformed)
  },
)

test('a quote that ends anywhere is malformed', () => {
  const quote = makeQuote({ version: 5, report: '1.5' })
  for (let length = 1; length < quote.length; length += 7) {
    expect(() => tdx.parse(tdxEvidence(quote.subarray(0, length)))).toThrow(malformed)
  }
})

test.each<[string, PlatformChanges | null]>([
  ['does not say its platform', null],
  ['lacks the FMSPC', { parts: { 4: undefined } }],
  ['lacks the PCEID', { parts: { 3: undefined } }],
  ['lacks the TCB', { parts: { 2: undefined } }],
  ['lacks a component', { svns: { 16: undefined } }],
  ['lacks PCESVN', { svns: { 17: undefined } }],
  ['has a short FMSPC', { fmspc: Buffer.alloc(5) }],
  ['has a long PCEID', { pceId: Buffer.alloc(3) }],
  ['has an FMSPC of another type', { parts: { 4: derInteger(5) } }],
  ['has a component above 255', { svns: { 1: derInteger(256) } }],
  ['has a component below zero', { svns: { 1: der(0x02, Buffer.of(0xff)) } }],
  ['has a PCESVN above 65,535', { svns: { 17: derInteger(0x1_0000) } }],
  ['has a component of many bytes', { svns: { 1: der(0x02, Buffer.alloc(9, 1)) } }],
  ['has a component that is no number', { svns: { 1: derOctets(Buffer.of(1)) } }],
  ['says something twice', { end: derSequence(derId('1.2.840.113741.1.13.1.4'), derOctets(Buffer.alloc(6))) }],
  ['says something else', { end: derSequence(derId('1.2.840.113741.1.14.1'), derOctets(Buffer.alloc(6))) }],
  ['holds something else', { end: derInteger(5) }],
])('a PCK certificate that %s is malformed', (_, platform) => {
  const certificates = [pckCertificate(platform), tdxAuthority(), tdxRootCertificate()]
  expect(() => parse({ certificates })).toThrow(malformed)
})

test('the highest and the lowest version numbers are read', () => {
  const svns = { 1: derInteger(255), 2: derInteger(0), 17: derInteger(0xffff) }
  const certificates = [pckCertificate({ svns }), tdxAuthority()]
  const { claims } = verify({ certificates })
  expect(claims).toMatchObject({ platform: { components: expect.arrayContaining([255, 0, 5]), pceSvn: 0xffff } })
})

const { basicConstraints, keyUsage } = testExtensions
const chainWith = (pck: Buffer) => ({ certificates: [pck, tdxAuthority(), tdxRootCertificate()] })
test.each<[string, string, QuoteChanges]>([
  [
    'tdx.pck_path.signature',
    'whose PCK another authority signed',
    chainWith(pckCertificate({}, { signingKey: other.privateKey })),
  ],
  [
    'tdx.pck_path.key_usage',
    'whose PCK is for another use',
    chainWith(
      pckCertificate(
        {},
        {
          extensions: [
            basicConstraints(false),
            keyUsage('keyAgreement'),
            { id: '1.2.840.113741.1.13.1', value: sgxExtension() },
          ],
        },
      ),
    ),
  ],
  [
    'tdx.pck_path.validity',
    'whose PCK has expired',
    chainWith(pckCertificate({}, { notAfter: derTime(Date.UTC(2026, 0, 2)) })),
  ],
  ['tdx.qe_signature', 'whose enclave another key signed', { qeSigningKey: other.privateKey }],
  ['tdx.qe_signature', 'whose PCK is of RSA', chainWith(pckCertificate({}, { spki: spkiOf(testKeyPair('RSA-2048')) }))],
  ['tdx.attestation_key', 'whose enclave vouches for another key', { qe: { reportData: Buffer.alloc(64) } }],
  [
    'tdx.attestation_key',
    'whose key is exchanged, and all else',
    { attestationKey: pointOf(other.publicKey), signingKey: other.privateKey, qe: { reportData: Buffer.alloc(64, 1) } },
  ],
  ['tdx.signature', 'that another key signed', { signingKey: other.privateKey }],
  ['tdx.report_data', 'of another binding', { td: { reportData: Buffer.alloc(64) } }],
  [
    'tdx.report_data',
    'with something behind the binding',
    { td: { reportData: Buffer.concat([enrollingTdx.binding, Buffer.alloc(32, 1)]) } },
  ],
  ['tdx.seam_signer', "of a module that is not Intel's", { td: { mrSignerSeam: Buffer.alloc(48, 1) } }],
  [
    'tdx.seam_attributes',
    'of a module that is not for production',
    { td: { seamAttributes: Buffer.of(0, 0, 0, 0, 0, 0, 0, 1) } },
  ],
])('%s: a quote %s is refused', (check, _, changes) => {
  expect(() => verify(changes)).toThrow(refused(check))
})

test('a quote is refused without a trust anchor, and with that of another root', () => {
  expect(() => verify({}, {}, [])).toThrow(refused('tdx.pck_path.anchor'))
  const root = tdxRootCertificate({ spki: spkiOf(other), signingKey: other.privateKey })
  expect(() => verify({}, {}, [tdxAnchor(root)])).toThrow(refused('tdx.pck_path.signature'))
})

test('the root in a quote is no trust anchor', () => {
  const anchor: TrustAnchor = { ...tdxAnchor(), kind: 'intermediate' }
  expect(() => verify({}, {}, [anchor])).toThrow(refused('tdx.pck_path.anchor'))
})

test('the attestation key and the enclave vouch for one quote alone', () => {
  const quote = makeQuote()
  const body = Buffer.from(quote)
  body.set(makeQuote({ td: { mrTd: Buffer.alloc(48, 9) } }).subarray(48, 632), 48)
  const swapped = () => tdx.parse(tdxEvidence(body)).verify([tdxAnchor()], enrollingTdx)
  expect(swapped).toThrow(refused('tdx.signature'))
})
