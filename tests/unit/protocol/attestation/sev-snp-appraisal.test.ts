import { describe, expect, test } from 'vitest'
import type { SevSnpRules } from '../../../../protocol/attestation/formats/sev-snp/rules.ts'
import { sevSnp } from '../../../../protocol/attestation/formats/sev-snp.ts'
import { CRL_NEXT_UPDATE } from '../../../support/crl.ts'
import { makeSevSnp, type SevSnpOptions, sevSnpCrl } from '../../../support/sev-snp/evidence.ts'
import { reportFields as at, sevSnpMeasurement } from '../../../support/sev-snp/report.ts'

type Rules = Partial<SevSnpRules>
const reference = { measurements: ['00'.repeat(48), sevSnpMeasurement.toString('hex')] }

function appraise(
  rules: Rules = {},
  options: SevSnpOptions = {},
  { references = [reference], list = [] as number[] | null, late = 0 } = {},
) {
  const made = makeSevSnp(options)
  const now = late || made.expected.now
  const collateral = list === null ? [] : [sevSnpCrl(made, list)]
  const verified = sevSnp.parse(made.evidence).verify(made.anchors, { ...made.expected, now }, collateral)
  const findings = verified.appraise(sevSnp.rules.parse(rules), references)
  return Object.fromEntries(findings.map(({ check, value }) => [check.replace('sev-snp.', ''), value]))
}
const setting = (...bytes: [number, number][]): SevSnpOptions => ({
  change: (report) => bytes.forEach(([field, value]) => void (report[field] = value)),
})
/** Bits 16 to 23 and 24 to 31 of the policy of the guest. */
const policy = (low: number, high = 0) => setting([at.policy + 2, low | 2], [at.policy + 3, high])

test('a guest that is what is wanted is affirmed, with a finding for each line', () => {
  expect(appraise()).toEqual({
    hardware: 2,
    minimum_tcb: 2,
    revocation: 2,
    platform: 2,
    guest_policy: 2,
    vmpl: 2,
    measurement: 3,
  })
})

describe('the policy of the guest', () => {
  test.each<[string, SevSnpOptions, Rules, number]>([
    ['with debugging', policy(0x08), {}, 96],
    ['with debugging that is allowed', policy(0x08), { allowed: ['debug'] }, 2],
    ['with a migration agent', policy(0x04), {}, 96],
    ['with a migration agent that is allowed', policy(0x04), { allowed: ['migration'] }, 2],
    ['with SMT', policy(0x01), {}, 2],
    ['with SMT that is not allowed', policy(0x01), { allowed: [] }, 96],
    ['with CXL', policy(0x20), {}, 96],
    ['with CXL that is allowed', policy(0x20), { allowed: ['cxl'] }, 2],
    ['without anything', policy(0), { allowed: [] }, 2],
    ['on one socket', policy(0x10), { required: ['single-socket'] }, 2],
    ['on any sockets', policy(0), { required: ['single-socket'] }, 96],
    ['with AES-256-XTS', policy(0x40), { required: ['aes-256-xts'] }, 2],
    ['without RAPL', policy(0x80), { required: ['rapl-disabled'] }, 2],
    ['with hidden ciphertext', policy(0, 0x01), { required: ['ciphertext-hiding'] }, 2],
    ['without swapped pages', policy(0, 0x02), { required: ['page-swap-disabled'] }, 2],
    ['with one of two', policy(0x40), { required: ['aes-256-xts', 'rapl-disabled'] }, 96],
  ])('%s', (_what, options, rules, value) => {
    expect(appraise(rules, options)).toMatchObject({ guest_policy: value })
  })

  test.each([
    [1, 55, 2],
    [1, 54, 2],
    [0, 99, 2],
    [1, 56, 96],
    [2, 0, 96],
  ])('of ABI 1.55, where %d.%d is wanted', (major, minor, value) => {
    expect(appraise({ minimumAbi: { major, minor } })).toMatchObject({ abi: value })
  })
})

describe('the machine', () => {
  test.each<[Rules['platform'], number]>([
    [['ecc', 'alias-check'], 2],
    [['tsme'], 96],
    [['ecc', 'rapl-disabled'], 96],
    [['ciphertext-hiding'], 96],
  ])('that has to have %j', (platform, value) => {
    expect(appraise({ platform: platform ?? [] })).toMatchObject({ platform: value })
  })

  test('has each bit of its own', () => {
    const flags = [
      'tsme',
      'ecc',
      'rapl-disabled',
      'ciphertext-hiding',
      'alias-check',
      'iommu-write-safe',
      'tio',
    ] as const
    expect(appraise({ platform: [...flags] }, setting([at.platform, 0xff]))).toMatchObject({ platform: 2 })
    for (const [bit, flag] of flags.entries()) {
      expect(appraise({ platform: [flag] }, setting([at.platform, 2 << bit]))).toMatchObject({ platform: 2 })
      expect(appraise({ platform: [flag] }, setting([at.platform, 0xff & ~(2 << bit)]))).toMatchObject({ platform: 96 })
    }
  })

  test.each<[string, Rules['minimumTcb'], number]>([
    ['exactly', { Milan: { bootloader: 4, tee: 2, snp: 24, microcode: 219 } }, 2],
    ['a newer bootloader', { Milan: { bootloader: 5 } }, 96],
    ['a newer TEE', { Milan: { tee: 3 } }, 96],
    ['newer firmware', { Milan: { snp: 25 } }, 96],
    ['newer microcode', { Milan: { microcode: 220 } }, 96],
    ['something of another product', { Genoa: { microcode: 255 } }, 2],
  ])('of a TCB, of which the policy wants %s', (_what, minimumTcb, value) => {
    expect(appraise({ minimumTcb: minimumTcb ?? {} })).toMatchObject({ minimum_tcb: value })
  })

  // At the launch it had bits 0 to 4, and has bits 0 to 5 now.
  test.each<[string, number[], SevSnpOptions, number | undefined]>([
    ['that nobody asks for', [], { version: 5 }, undefined],
    ['that it has', [0, 4], { version: 5 }, 2],
    ['of which it has one since the launch', [4, 5], { version: 5 }, 96],
    [
      'of which it has one no more',
      [5],
      { version: 5, ...setting([at.launchMitigations, 0x3f], [at.currentMitigations, 0x1f]) },
      96,
    ],
    ['that it does not have', [6], { version: 5 }, 96],
    [
      'of the highest bit',
      [63],
      { version: 5, ...setting([at.launchMitigations + 7, 0x80], [at.currentMitigations + 7, 0x80]) },
      2,
    ],
    ['of which its report says nothing', [0], { version: 4 }, 96],
  ])('has mitigations %s', (_what, mitigations, options, value) => {
    expect(appraise({ mitigations }, options).mitigations).toBe(value)
  })

  test('has a TCB of which every part counts by itself, and at the launch too', () => {
    const minimumTcb = { Milan: { snp: 24 }, Turin: { fmc: 2 } }
    expect(appraise({ minimumTcb }, setting([at.launchTcb + 6, 23]))).toMatchObject({ minimum_tcb: 96 })
    expect(appraise({ minimumTcb }, setting([at.launchTcb + 6, 24]))).toMatchObject({ minimum_tcb: 2 })
    expect(appraise({ minimumTcb }, setting([at.committedTcb + 6, 23]))).toMatchObject({ minimum_tcb: 96 })
    expect(appraise({ minimumTcb }, setting([at.committedTcb + 6, 24]))).toMatchObject({ minimum_tcb: 2 })
    expect(appraise({ minimumTcb }, { product: 'Turin' })).toMatchObject({ minimum_tcb: 96 })
  })
})

describe('the key', () => {
  const vlek: SevSnpOptions = { signingKey: 'vlek' }
  test.each<[string, SevSnpOptions, Rules, number]>([
    ['of a chip', {}, { signingKeys: ['vcek'] }, 2],
    ['of a cloud', vlek, { signingKeys: ['vcek'] }, 97],
    ['of a chip, where those of clouds are wanted', {}, { signingKeys: ['vlek'] }, 97],
    ['of a cloud, where none is named', vlek, {}, 2],
    ['of that cloud', vlek, { providers: ['cc-us-east-2.cloud.example'] }, 2],
    ['of another cloud', vlek, { providers: ['other.example'] }, 97],
    ['of a chip, where clouds are named', {}, { providers: [] }, 2],
  ])('%s', (_what, options, rules, value) => {
    expect(appraise(rules, options)).toMatchObject({ hardware: value })
  })

  const stale = CRL_NEXT_UPDATE + 1
  test.each<[string, object, Rules, number]>([
    ['without a list', { list: null }, {}, 33],
    ['without a list, which is accepted', { list: null }, { collateral: 'accepted' }, 2],
    ['without a list, which is not', { list: null }, { collateral: 'contraindicated' }, 96],
    ['with a list that is out of date', { late: stale }, {}, 33],
    ['that is revoked', { list: [0x10001] }, { collateral: 'accepted' }, 96],
    ['that is revoked by a list that is out of date', { list: [0x10001], late: stale }, { collateral: 'accepted' }, 96],
    ['that is not revoked', {}, { collateral: 'contraindicated' }, 2],
  ])('%s', (_what, given, rules, value) => {
    expect(appraise(rules, {}, given)).toMatchObject({ revocation: value })
  })
})

describe('the guest', () => {
  const idKey = (field: number): SevSnpOptions => ({ change: (report) => void report.fill(0x66, field, field + 48) })
  const digest = '66'.repeat(48)

  test.each<[string, SevSnpOptions, Rules, object]>([
    ['at VMPL 1', setting([at.vmpl, 1]), {}, { vmpl: 96 }],
    ['at VMPL 1, which is allowed', setting([at.vmpl, 1]), { vmpls: [0, 1] }, { vmpl: 2 }],
    ['of the host', setting([at.vmpl, 255], [at.vmpl + 3, 255]), { vmpls: [0, 1, 2, 3] }, { vmpl: 96 }],
    ['with an SVN that is enough', {}, { minimumGuestSvn: 3 }, { guest_svn: 3 }],
    ['with an SVN that is not', {}, { minimumGuestSvn: 4 }, { guest_svn: 96 }],
    ['with data of its host that is allowed', {}, { hostData: ['44'.repeat(32)] }, { host_data: 3 }],
    ['with data of its host that is not', {}, { hostData: ['45'.repeat(32)] }, { host_data: 96 }],
    ['with an ID key that is allowed', idKey(at.idKeyDigest), { idKeyDigests: [digest] }, { id_key: 3 }],
    ['without an ID key', {}, { idKeyDigests: [digest] }, { id_key: 96 }],
    ['without an ID key, even of zeros', {}, { idKeyDigests: ['00'.repeat(48)] }, { id_key: 96 }],
    [
      'with an author key that is allowed',
      idKey(at.authorKeyDigest),
      { authorKeyDigests: [digest] },
      { author_key: 3 },
    ],
    ['with an ID key for an author key', idKey(at.idKeyDigest), { authorKeyDigests: [digest] }, { author_key: 96 }],
  ])('%s', (_what, options, rules, findings) => {
    expect(appraise(rules, options)).toMatchObject(findings)
  })

  test('of which no reference value has the measurement', () => {
    expect(appraise({}, {}, { references: [] })).toMatchObject({ measurement: 96 })
    expect(appraise({ otherMeasurements: 'warning' }, setting([at.measurement + 47, 0]))).toMatchObject({
      measurement: 33,
    })
  })
})

test.each<[string, object]>([
  ['a VMPL of 4', { vmpls: [4] }],
  ['no VMPL', { vmpls: [] }],
  ['an FMC of Milan', { minimumTcb: { Milan: { fmc: 1 } } }],
  ['a mitigation of bit 64', { mitigations: [64] }],
  ['another rule', { debug: true }],
  ['a digest that is too short', { idKeyDigests: ['66'.repeat(32)] }],
])('rules with %s are none', (_what, rules) => {
  expect(sevSnp.rules.safeParse(rules).success).toBe(false)
})

describe('findings say what was found', () => {
  const details = (rules: Rules, options: SevSnpOptions) => {
    const { evidence, anchors, expected } = makeSevSnp(options)
    const findings = sevSnp.parse(evidence).verify(anchors, expected).appraise(sevSnp.rules.parse(rules), [reference])
    return findings.map(({ detail }) => detail)
  }

  test('of what is wanted', () => {
    const measurement = sevSnpMeasurement.toString('hex')
    expect(details({ hostData: ['44'.repeat(32)] }, { ...setting([at.platform, 0]) })).toEqual([
      'The report is signed by a VCEK for Milan-B0.',
      'The TCB of Milan is at least what the policy asks for.',
      'What certifies the key is in no revocation list that is known.',
      'The machine has: nothing of note; required and not there: nothing.',
      'The policy of the guest allows what it must not: nothing; asks not for what it must: nothing.',
      'VMPL 0 asked for the report; allowed: 0.',
      `The measurement ${measurement} is in the reference values.`,
      `HOST_DATA is ${'44'.repeat(32)}: allowed.`,
    ])
  })

  test('of mitigations', () => {
    const [, , , mitigations] = details({ mitigations: [4] }, { version: 5 })
    expect(mitigations).toBe(
      'Mitigations at the launch: 000000000000001f, now: 000000000000003f; required and not in both: none.',
    )
    expect(details({ mitigations: [4, 5, 6] }, { version: 5 })[3]).toMatch(/; required and not in both: 5, 6\.$/)
    expect(details({ mitigations: [4] }, {})[3]).toBe('The report is of a version that says nothing of mitigations.')
  })

  test('and of what is not', () => {
    const rules: Rules = {
      providers: [],
      minimumTcb: { Milan: { snp: 25, tee: 3 } },
      platform: ['tsme', 'ciphertext-hiding'],
      allowed: [],
      required: ['single-socket'],
      idKeyDigests: [],
    }
    const other = setting([at.policy + 2, 0x0b], [at.measurement, 0])
    expect(details(rules, { signingKey: 'vlek', ...other })).toEqual([
      'The report is signed by a VLEK of cc-us-east-2.cloud.example for Milan: not one that the policy takes.',
      'The TCB of Milan is reported tee 2, below 3; reported snp 24, below 25; committed tee 2, below 3; committed snp 24, below 25; launch tee 2, below 3; launch snp 24, below 25.',
      'What certifies the key is in no revocation list that is known.',
      'The machine has: smt, ecc, alias-check; required and not there: tsme, ciphertext-hiding.',
      'The policy of the guest allows what it must not: debug, smt; asks not for what it must: single-socket.',
      'VMPL 0 asked for the report; allowed: 0.',
      `The measurement 00${'3e'.repeat(47)} is in no reference value.`,
      'The digest of the ID key is not there: not one that the policy allows.',
    ])
  })
})
