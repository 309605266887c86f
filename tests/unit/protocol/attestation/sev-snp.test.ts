import { describe, expect, test } from 'vitest'
import type { Collateral } from '../../../../protocol/attestation/evidence-format.ts'
import type { ProductName } from '../../../../protocol/attestation/formats/sev-snp/products.ts'
import type { SigningKey } from '../../../../protocol/attestation/formats/sev-snp/verify.ts'
import { sevSnp } from '../../../../protocol/attestation/formats/sev-snp.ts'
import { crlIdOf } from '../../../../protocol/attestation/x509/revocation.ts'
import { toBase64url } from '../../../../protocol/encoding.ts'
import { CRL_NEXT_UPDATE } from '../../../support/crl.ts'
import { der, derId, derInteger, derOctets, derSequence, derText } from '../../../support/der.ts'
import {
  derIa5,
  makeSevSnp,
  type SevSnpOptions,
  sevSnpCrl,
  type TestSevSnp,
} from '../../../support/sev-snp/evidence.ts'
import {
  reportFields as at,
  chipIdBytes,
  sevSnpMeasurement,
  sevSnpTcb,
  tcbBytes,
} from '../../../support/sev-snp/report.ts'
import { testExtensions } from '../../../support/x509.ts'
import { signings } from '../../../support/x509-signing.ts'

function verifyMade({ evidence, anchors, expected }: TestSevSnp, collateral: Collateral[] = []) {
  return sevSnp.parse(evidence).verify(anchors, expected, collateral)
}
const verify = (options: SevSnpOptions = {}) => verifyMade(makeSevSnp(options))
const changing = (change: (report: Buffer) => void): SevSnpOptions => ({ change })
const setting = (field: number, value: number): SevSnpOptions => changing((report) => void (report[field] = value))
const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })
const { fmc: _none, ...tcb } = sevSnpTcb

const variants = (['Milan', 'Genoa', 'Turin'] as ProductName[]).flatMap((product) =>
  (['vcek', 'vlek'] as SigningKey[]).flatMap((signingKey) =>
    [2, 3, 4, 5].map((version) => ({ product, signingKey, version })),
  ),
)

describe('a report', () => {
  test.each(variants)('of version $version, of $product, signed by a $signingKey, is verified', (variant) => {
    const { attester, claims } = verify(variant)
    expect(attester).toBeUndefined()
    expect(claims).toMatchObject(variant)
  })

  test('says what the guest and the machine are', () => {
    expect(verify({ version: 5 }).claims).toEqual({
      version: 5,
      guestSvn: 3,
      policy: { abi: '1.55', flags: ['smt'] },
      platform: ['smt', 'ecc', 'alias-check'],
      vmpl: 0,
      familyId: '11'.repeat(16),
      imageId: '22'.repeat(16),
      measurement: sevSnpMeasurement.toString('hex'),
      hostData: '44'.repeat(32),
      reportId: '55'.repeat(32),
      firmware: { current: '1.55.29', committed: '1.54.27' },
      cpu: { family: 0x19, model: 1, stepping: 1 },
      mitigations: { launch: '000000000000001f', current: '000000000000003f' },
      product: 'Milan',
      productName: 'Milan-B0',
      signingKey: 'vcek',
      chipId: 'c1'.repeat(64),
      tcb: { reported: tcb, committed: tcb, current: tcb, launch: tcb },
      revocation: 'unknown',
      certificatesValidUntil: Date.UTC(2049, 11, 31, 23, 59, 59),
    })
  })

  test('of Turin has its own layout of a TCB version, and a short chip id', () => {
    expect(verify({ product: 'Turin', version: 3 }).claims).toMatchObject({
      tcb: { reported: sevSnpTcb },
      chipId: 'c1'.repeat(8),
    })
  })

  test('of each TCB, with digests of the keys of an ID block, keeps them apart', () => {
    const { claims } = verify(
      changing((report) => {
        report[at.currentTcb] = 7
        report[at.committedTcb] = 6
        report[at.launchTcb] = 5
        report.fill(0x66, at.idKeyDigest, at.idKeyDigest + 48)
        report.fill(0x77, at.authorKeyDigest, at.authorKeyDigest + 48)
      }),
    )
    expect(claims).toMatchObject({
      tcb: { current: { bootloader: 7 }, committed: { bootloader: 6 }, launch: { bootloader: 5 }, reported: tcb },
      idKeyDigest: '66'.repeat(48),
      authorKeyDigest: '77'.repeat(48),
    })
  })

  test('of a masked chip is that of the chip of its VCEK, and of none with a VLEK', () => {
    const masked = changing((report) => void report.fill(0, at.chipId, at.chipId + 64))
    expect(verify(masked).claims).toMatchObject({ chipId: 'c1'.repeat(64) })
    expect(verify({ ...masked, signingKey: 'vlek' }).claims).not.toHaveProperty('chipId')
  })

  test('is verified with the certificate between key and root from the anchors', () => {
    const made = makeSevSnp({ issuerIn: 'anchors' })
    expect(verifyMade(made).claims).toMatchObject({ revocation: 'unknown' })
    expect(sevSnp.parse(made.evidence).collateralIds).toEqual([])
  })

  test('asks for the anchors of its chain and for the list of its root', () => {
    const made = makeSevSnp()
    const parsed = sevSnp.parse(made.evidence)
    expect(parsed.trustAnchorIds).toHaveLength(2)
    expect(parsed.trustAnchorIds[1]).toBe(made.anchors[0]?.lookupId)
    expect(parsed.collateralIds).toEqual([crlIdOf(made.anchors[0]?.lookupId as string)])
  })
})

const name = (...attributes: [string, string][]) =>
  derSequence(...attributes.map(([id, text]) => der(0x31, derSequence(derId(id), derText(text)))))
const COMMON_NAME = '2.5.4.3'
const UNIT = '2.5.4.11'

describe('evidence is verified', () => {
  test.each<[string, SevSnpOptions]>([
    ['with a chip id in an OCTET STRING', { extensions: { 4: derOctets(chipIdBytes('Milan')) } }],
    ['with the highest bit of its policy that is known', setting(at.policy + 3, 0x02)],
    ['with bits of the platform that are not known', setting(at.platform + 7, 0x80)],
    ['with an author key', setting(at.flags, 0b01)],
    ['by a VLEK, where the key of the chip is masked', { signingKey: 'vlek', ...setting(at.flags, 0b110) }],
    ['of the last model of Turin', { product: 'Turin', ...setting(at.cpu + 1, 0x1f) }],
    ['of Siena', { product: 'Genoa', ...setting(at.cpu + 1, 0xaf) }],
    ['with the last model of its product', setting(at.cpu + 1, 0x0f)],
    [
      'with more in a name than a common name',
      { leaf: { subject: name([UNIT, 'Engineering'], [COMMON_NAME, 'SEV-VCEK']) } },
    ],
    ['with a microcode of 255', { extensions: { 3.8: derInteger(255) }, ...setting(at.reportedTcb + 7, 255) }],
    ['of Bergamo', { product: 'Genoa', ...setting(at.cpu + 1, 0xa0) }],
    ['with a provider of 128 characters', { signingKey: 'vlek', extensions: { 5: derIa5('a'.repeat(128)) } }],
  ])('%s', (_what, options) => {
    expect(() => verify(options)).not.toThrow()
  })
})

describe('evidence is refused', () => {
  test.each([
    ['another attribute', name([UNIT, 'SEV-VCEK'])],
    ['two common names', name([COMMON_NAME, 'SEV-VCEK'], [COMMON_NAME, 'other'])],
    ['no attribute', name()],
    ['a name without attributes', derSequence(der(0x31))],
    ['a common name without a value', derSequence(der(0x31, derSequence(derId(COMMON_NAME))))],
    ['an attribute without anything', derSequence(der(0x31, derSequence()))],
  ])('whose leaf has for a common name %s', (_what, subject) => {
    expect(() => verify({ leaf: { subject } })).toThrow(refused('sev-snp.names'))
  })

  const { basicConstraints, keyUsage } = testExtensions
  test.each<[string, SevSnpOptions, string]>([
    ['with another signature algorithm', setting(at.signatureAlgorithm, 2), 'algorithm'],
    ['signed by a key of kind 2', setting(at.flags, 2 << 2), 'signing_key'],
    ['that is not signed by any key', setting(at.flags, 7 << 2), 'signing_key'],
    ['with a forged leaf', { leaf: { changeSignature: (one) => one.fill(1) } }, 'path.signature'],
    [
      'with an issuer that may not sign',
      { issuer: { extensions: [basicConstraints(true), keyUsage('crlSign')] } },
      'path.certificate_signing',
    ],
    ['with an issuer that is no authority', { issuer: { extensions: [keyUsage('keyCertSign')] } }, 'path.authority'],
    [
      'signed with SHA-1',
      { leaf: { signing: signings['PSS with SHA-1'], innerAlgorithm: signings['PSS with SHA-1'].algorithm } },
      'path.signature_algorithm',
    ],
    ['of a VCEK with a provider', { extensions: { 5: derIa5('cloud') } }, 'key_kind'],
    ['of a VCEK without a chip id', { extensions: { 4: undefined } }, 'key_kind'],
    ['of a VLEK with a chip id', { signingKey: 'vlek', extensions: { 4: chipIdBytes('Milan') } }, 'key_kind'],
    ['of a VLEK without a provider', { signingKey: 'vlek', extensions: { 5: undefined } }, 'key_kind'],
    ['of a VLEK that says it is a VCEK', { signingKey: 'vlek', ...setting(at.flags, 0) }, 'key_kind'],
    ['of a VCEK that says it is a VLEK', setting(at.flags, 1 << 2), 'key_kind'],
    ['of a leaf with another name', { leaf: { subject: 'SEV-VLEK' } }, 'names'],
    ['of an issuer of VLEKs', { leaf: { issuer: 'SEV-VLEK-Milan' }, issuer: { subject: 'SEV-VLEK-Milan' } }, 'names'],
    [
      'of another product than its root',
      { root: { subject: 'ARK-Genoa', issuer: 'ARK-Genoa' }, issuer: { issuer: 'ARK-Genoa' } },
      'names',
    ],
    ['with a key of P-256', { leafKind: 'P-256' }, 'key'],
    [
      'without a signature, where the key of the chip is masked',
      {
        ...setting(at.flags, 0b10),
        forge: (report) => void report.fill(0, at.r),
      },
      'signature',
    ],
    ['with a bit of its signature', { forge: (report) => void ((report[at.r] as number) ^= 1) }, 'signature'],
    ['with a bit of what is signed', { forge: (report) => void ((report[at.hostData] as number) ^= 1) }, 'signature'],
    ['of another processor', setting(at.cpu, 0x1a), 'product'],
    ['of a model behind those of its product', setting(at.cpu + 1, 0x10), 'product'],
    ['of a model before those of its product', { product: 'Genoa', ...setting(at.cpu + 1, 0x0f) }, 'product'],
    ['of a model behind those of Turin', { product: 'Turin', ...setting(at.cpu + 1, 0x20) }, 'product'],
    ['of a model between those of Genoa', { product: 'Genoa', ...setting(at.cpu + 1, 0x20) }, 'product'],
    ['of a model right before Bergamo', { product: 'Genoa', ...setting(at.cpu + 1, 0x9f) }, 'product'],
    ['of a model behind Siena', { product: 'Genoa', ...setting(at.cpu + 1, 0xb0) }, 'product'],
    ['of another TCB', setting(at.reportedTcb, 3), 'tcb'],
    ['of a TCB with a reserved byte', setting(at.reportedTcb + 2, 1), 'tcb'],
    ['of another microcode', setting(at.reportedTcb + 7, 220), 'tcb'],
    ['of another chip', setting(at.chipId + 63, 0), 'chip_id'],
    ['of Turin with more behind its chip id', { product: 'Turin', ...setting(at.chipId + 8, 1) }, 'chip_id'],
    ['with another binding', setting(at.reportData, 0), 'report_data'],
    ['with data behind its binding', setting(at.reportData + 63, 1), 'report_data'],
    ['with data right behind its binding', setting(at.reportData + 32, 1), 'report_data'],
  ])('%s', (_what, options, check) => {
    expect(() => verify(options)).toThrow(refused(`sev-snp.${check}`))
  })

  test('by the root of another', () => {
    const { anchors } = makeSevSnp({ product: 'Genoa' })
    expect(() => verifyMade({ ...makeSevSnp(), anchors })).toThrow(refused('sev-snp.path.anchor'))
  })

  test('without any anchor, with its own root in the chain', () => {
    const made = makeSevSnp()
    const chain = [...(made.evidence.chain as string[]), toBase64url(made.certificates.root)]
    expect(() => verifyMade({ ...made, evidence: { ...made.evidence, chain }, anchors: [] })).toThrow(
      refused('sev-snp.path.anchor'),
    )
  })

  test('when a certificate between key and root is trusted as a root', () => {
    const made = makeSevSnp()
    const anchors = made.anchors.map((one) => ({ ...one, der: made.certificates.issuer }))
    expect(() => verifyMade({ ...made, anchors })).toThrow(refused('sev-snp.path_length'))
  })

  test('before and after the time of its certificates', () => {
    const made = makeSevSnp()
    for (const now of [Date.UTC(2025, 0), Date.UTC(2050, 0)]) {
      expect(() => verifyMade({ ...made, expected: { ...made.expected, now } })).toThrow(
        refused('sev-snp.path.validity'),
      )
    }
  })
})

describe('the list of the root', () => {
  const vcek = makeSevSnp()
  const vlek = makeSevSnp({ signingKey: 'vlek' })
  const revocationBy = (made: TestSevSnp, list: Collateral) => verifyMade(made, [list]).claims

  test.each([
    ['that names nothing', vcek, [], 'good'],
    ['that names another', vcek, [0x10002], 'good'],
    ['that names the issuer of a VCEK', vcek, [0x10001], 'revoked'],
    ['that names the number 0, which every VCEK has', vcek, [0], 'good'],
    ['that names nothing, for a VLEK', vlek, [], 'good'],
    ['that names the issuer of a VLEK', vlek, [0x10001], 'revoked'],
    ['that names a VLEK', vlek, [0x77], 'revoked'],
  ])('%s', (_what, made, revoked, revocation) => {
    expect(revocationBy(made, sevSnpCrl(made, revoked))).toMatchObject({ revocation })
  })

  test('that is out of date, or that another signed, is not taken for good', () => {
    const late = { ...vcek, expected: { ...vcek.expected, now: CRL_NEXT_UPDATE + 1 } }
    expect(revocationBy(late, sevSnpCrl(vcek, []))).toMatchObject({ revocation: 'stale' })
    const forged = sevSnpCrl(vcek, [], { changeSignature: (one) => one.fill(1) })
    expect(revocationBy(vcek, forged)).toMatchObject({ revocation: 'unknown' })
  })
})

test('a TCB version of each product is written as it is read', () => {
  expect(tcbBytes('Milan').toString('hex')).toBe('04020000000018db')
  expect(tcbBytes('Turin').toString('hex')).toBe('01040218000000db')
})
