import { describe, expect, test } from 'vitest'
import { tierOfVector, toTrustworthinessVector } from '../../../../../protocol/attestation/appraisal.ts'
import type { Collateral } from '../../../../../protocol/attestation/evidence-format.ts'
import { tdx } from '../../../../../protocol/attestation/formats/tdx.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import { derTime } from '../../../../support/der.ts'
import { qeIdentityDocument, tcbInfoDocument, tcbLevel, tdxCollateral } from '../../../../support/tdx/collateral.ts'
import { tdxAnchor, tdxCrl } from '../../../../support/tdx/platform.ts'
import {
  enrollingTdx,
  makeQuote,
  type QuoteChanges,
  tdxEvidence,
  tdxTrustDomain,
} from '../../../../support/tdx/quote.ts'

interface Given {
  rules?: Json
  references?: readonly Json[]
  quote?: QuoteChanges
  collateral?: readonly Collateral[]
}

function appraise({ rules = {}, references = [tdxTrustDomain], quote, collateral = tdxCollateral() }: Given = {}) {
  const verified = tdx.parse(tdxEvidence(makeQuote(quote))).verify([tdxAnchor()], enrollingTdx, collateral)
  return verified.appraise(tdx.rules.parse(rules), references)
}
const valuesOf = (check: string, given: Given) =>
  appraise(given).flatMap((finding) => (finding.check === check ? [finding.value] : []))
const tierOf = (given?: Given) => tierOfVector(toTrustworthinessVector(appraise(given)))
const attributes = (hex: string): QuoteChanges => ({ td: { tdAttributes: Buffer.from(hex, 'hex') } })
const withLevel = (status: string) => tdxCollateral({ info: tcbInfoDocument({ tcbLevels: [tcbLevel({ status })] }) })

describe('a verdict', () => {
  test('has a line for everything that is looked at', () => {
    const findings = appraise({ rules: { xfam: ['e702060000000000'], minimumTcbEvaluationDataNumber: 20 } })
    expect(findings.map(({ check, claim, value }) => [check, claim, value])).toEqual([
      ['tdx.debug', 'configuration', 2],
      ['tdx.attributes', 'configuration', 2],
      ['tdx.xfam', 'configuration', 2],
      ['tdx.registers', 'executables', 3],
      ['tdx.revocation', 'hardware', 2],
      ['tdx.revocation', 'hardware', 2],
      ['tdx.collateral', 'hardware', 2],
      ['tdx.collateral', 'hardware', 2],
      ['tdx.qe', 'hardware', 2],
      ['tdx.module', 'hardware', 2],
      ['tdx.tcb', 'hardware', 2],
      ['tdx.evaluation', 'hardware', 2],
    ])
    expect(tierOf()).toBe('affirming')
  })

  test('without collateral is a warning, as the rule says', () => {
    const without = { collateral: [] }
    expect(tierOf(without)).toBe('warning')
    expect(tierOf({ ...without, rules: { collateral: 'accepted' } })).toBe('affirming')
    expect(tierOf({ ...without, rules: { collateral: 'contraindicated' } })).toBe('contraindicated')
    expect(appraise(without).map(({ check }) => check)).not.toContain('tdx.tcb')
  })

  test('says so when collateral is out of date', () => {
    const end = '2026-11-27T00:00:00Z'
    const info = tcbInfoDocument({ nextUpdate: end })
    const identity = qeIdentityDocument({ nextUpdate: end })
    const rootCrl = tdxCrl('root', { nextUpdate: derTime(Date.UTC(2026, 10, 27)) })
    const stale = { collateral: tdxCollateral({ info, identity, rootCrl }) }
    expect(valuesOf('tdx.collateral', stale)).toEqual([33, 33])
    expect(valuesOf('tdx.revocation', stale)).toEqual([2, 33])
    expect(valuesOf('tdx.tcb', stale)).toEqual([2])
    const details = appraise({ collateral: [rootCrl] }).flatMap((one) =>
      one.check === 'tdx.revocation' ? [one.detail] : [],
    )
    expect(details).toEqual([
      'Whether the PCK certificate is revoked is not known: the revocation list of its issuer lacks.',
      'Whether authority 1 above the PCK certificate is revoked is not known: the revocation list of its issuer is out of date.',
    ])
  })

  test.each(['authority', 'root'] as const)('contraindicates what %s revoked, whatever the rules are', (issuer) => {
    const list = tdxCrl(issuer, { revoked: [22, 33] })
    const collateral = tdxCollateral(issuer === 'root' ? { rootCrl: list } : { authorityCrl: list })
    expect(valuesOf('tdx.revocation', { collateral, rules: { collateral: 'accepted' } })).toContain(97)
  })
})

test.each<[string, Json, number]>([
  ['0000001000000000', {}, 2],
  ['0100001000000000', {}, 96],
  ['0100001000000000', { debug: 'accepted' }, 3],
  ['0300001000000000', { debug: 'accepted' }, 96],
  ['8000001000000000', { debug: 'accepted' }, 96],
])('a trust domain with the attributes %s, under %j, may be debugged: %i', (hex, rules, value) => {
  expect(valuesOf('tdx.debug', { rules, quote: attributes(hex) })).toEqual([value])
})

test.each<[string, Json, number]>([
  ['0000001000000000', {}, 2],
  ['0000000000000000', {}, 96],
  ['0000000000000000', { required: [] }, 2],
  ['0000005000000000', {}, 2],
  ['0000005800000000', {}, 2],
  ['0000005000000000', { allowed: [] }, 96],
  ['0000009000000000', {}, 96],
  ['0000009000000000', { allowed: ['keyLocker'] }, 2],
  ['0000003000000000', {}, 96],
  ['0000001000000080', {}, 96],
  ['0000001000000080', { allowed: ['perfmon'] }, 2],
  ['0001001000000000', { allowed: ['perfmon', 'tpa', 'migratable'] }, 96],
  ['0100001000000000', {}, 2],
])('a trust domain with the attributes %s, under %j, has the value %i', (hex, rules, value) => {
  expect(valuesOf('tdx.attributes', { rules, quote: attributes(hex) })).toEqual([value])
})

test.each([
  [16, 'icssd'],
  [17, 'servtdExt'],
  [27, 'lass'],
  [28, 'septVeDisable'],
  [29, 'migratable'],
  [30, 'pks'],
  [31, 'keyLocker'],
  [62, 'tpa'],
  [63, 'perfmon'],
])('bit %i of the attributes is %s', (bit, name) => {
  const tdAttributes = Buffer.alloc(8)
  tdAttributes.writeBigUInt64LE(1n << BigInt(bit))
  const given = (rules: Json) => ({ rules, quote: { td: { tdAttributes } } })
  expect(valuesOf('tdx.attributes', given({ required: [name], allowed: [] }))).toEqual([2])
  expect(valuesOf('tdx.attributes', given({ required: [], allowed: [] }))).toEqual([96])
})

test('XFAM has to be one that a policy names', () => {
  expect(valuesOf('tdx.xfam', { rules: { xfam: ['0300000000000000'] } })).toEqual([96])
})

describe('a trust domain', () => {
  const { mrTd = '', rtmr0 = '', rtmr1 = '', rtmr2 = '' } = tdxTrustDomain
  const four = { mrTd, rtmr0, rtmr1, rtmr2 }
  const { rtmr2: _, ...three } = four
  const otherHash = '77'.repeat(48)

  test.each<[string, Json[], Json, number]>([
    ['whose registers are all listed', [four], {}, 3],
    ['that one of several lists', [{ ...four, mrTd: otherHash }, four], {}, 3],
    ['of which a register is another', [{ ...four, rtmr2: otherHash }], {}, 96],
    ['of which one that is not wanted is another', [{ ...four, mrOwner: otherHash }], {}, 96],
    ['that is listed with fewer registers', [three], {}, 96],
    ['that is listed with as many as are wanted', [three], { registers: ['mrTd', 'rtmr0', 'rtmr1'] }, 3],
    ['that two list in part', [three, { rtmr2 }], {}, 96],
    ['that nobody lists', [], {}, 96],
    ['that nobody lists, where it may be', [], { unlisted: 'warning' }, 33],
  ])('%s', (_what, references, rules, value) => {
    expect(valuesOf('tdx.registers', { references, rules })).toEqual([value])
  })

  test('that names nothing is no reference value, nor is a register of another length', () => {
    for (const wrong of [{}, { mrTd: '00' }, { mrTd: mrTd.toUpperCase() }, { ...four, more: mrTd }]) {
      expect(tdx.referenceValue.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false)
    }
  })
})

test.each<[string, Json, number]>([
  ['UpToDate', {}, 2],
  ['SWHardeningNeeded', {}, 32],
  ['ConfigurationNeeded', {}, 32],
  ['ConfigurationAndSWHardeningNeeded', {}, 32],
  ['OutOfDate', {}, 96],
  ['OutOfDateConfigurationNeeded', {}, 96],
  ['Revoked', {}, 96],
  ['OutOfDate', { tcbWarnings: ['OutOfDate'] }, 32],
  ['OutOfDate', { tcbStatuses: ['UpToDate', 'OutOfDate'] }, 2],
  ['SWHardeningNeeded', { tcbWarnings: [] }, 96],
])('a platform that is %s, under %j, has the value %i', (status, rules, value) => {
  expect(valuesOf('tdx.tcb', { collateral: withLevel(status), rules })).toEqual([value])
})

test('nothing makes good what is revoked', () => {
  for (const rules of [{ tcbStatuses: ['Revoked'] }, { tcbWarnings: ['Revoked'] }, { tcbStatuses: ['NotSupported'] }]) {
    expect(tdx.rules.safeParse(rules).success).toBe(false)
  }
})

test('the verdict says what is wrong with attributes, and what evaluated the TCBs', () => {
  const rules = { minimumTcbEvaluationDataNumber: 5 }
  const detailOf = (check: string, given: Given) => appraise(given).find((one) => one.check === check)?.detail
  expect(detailOf('tdx.attributes', {})).toBe('The attributes of the trust domain are 0x10000000.')
  expect(detailOf('tdx.attributes', { quote: attributes('0000002000000000') })).toBe(
    'The attributes of the trust domain are 0x20000000: it lacks septVeDisable; it has what is not allowed: 0x20000000.',
  )
  expect(detailOf('tdx.evaluation', { rules })).toBe('TCBs are evaluated by 20 and 20; at least 5 is wanted.')
  expect(detailOf('tdx.evaluation', { rules, collateral: [] })).toBe(
    'TCBs are evaluated by nothing; at least 5 is wanted.',
  )
})

test('advisories stand in the verdict', () => {
  const info = tcbInfoDocument({ tcbLevels: [tcbLevel({ status: 'OutOfDate', advisories: ['INTEL-SA-00106'] })] })
  const finding = appraise({ collateral: tdxCollateral({ info }) }).find(({ check }) => check === 'tdx.tcb')
  expect(finding?.detail).toBe('The TCB of the platform is OutOfDate; advisories: INTEL-SA-00106.')
})

test("an enclave or a module that is not Intel's is contraindicated", () => {
  expect(valuesOf('tdx.qe', { quote: { qe: { mrSigner: Buffer.alloc(32) } } })).toEqual([97])
  const info = tcbInfoDocument({ tdxModule: undefined as unknown as Json })
  expect(valuesOf('tdx.module', { collateral: tdxCollateral({ info }) })).toEqual([97])
})

test.each([
  [19, 20, 96],
  [20, 19, 96],
  [20, 21, 2],
])('TCBs that are evaluated by %i and %i, where 20 are wanted, have the value %i', (ofEnclave, ofPlatform, value) => {
  const identity = qeIdentityDocument({ tcbEvaluationDataNumber: ofEnclave })
  const info = tcbInfoDocument({ tcbEvaluationDataNumber: ofPlatform })
  const given = { rules: { minimumTcbEvaluationDataNumber: 20 }, collateral: tdxCollateral({ identity, info }) }
  expect(valuesOf('tdx.evaluation', given)).toEqual([value])
})
