import { describe, expect, test } from 'vitest'
import { collateralKindReaders } from '../../../../../protocol/attestation/collateral-kinds.ts'
import type { Collateral } from '../../../../../protocol/attestation/evidence-format.ts'
import { tdx } from '../../../../../protocol/attestation/formats/tdx.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import { derTime } from '../../../../support/der.ts'
import {
  isvLevel,
  moduleIdentity,
  qeIdentityDocument,
  STATEMENT_END,
  STATEMENT_ISSUED,
  type StatementChanges,
  tcbInfoDocument,
  tcbInfoOf,
  tcbLevel,
  tdxCollateral,
} from '../../../../support/tdx/collateral.ts'
import {
  pckCertificate,
  tcbSigner,
  tdxAnchor,
  tdxAuthority,
  tdxCrl,
  tdxKeys,
  tdxRootCertificate,
} from '../../../../support/tdx/platform.ts'
import { enrollingTdx, makeQuote, type QuoteChanges, tdxEvidence } from '../../../../support/tdx/quote.ts'
import { testExtensions } from '../../../../support/x509.ts'
import { spkiOf, testKeyPair } from '../../../../support/x509-signing.ts'

type Claims = {
  revocation: string[]
  qeIdentity: { status: string; isCurrent: boolean; tcb: { status: string } } | null
  tcbInfo: {
    issuedAt: number
    isCurrent: boolean
    tcb: { status: string; module: string; advisoryIds: string[] }
  } | null
}
const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const other = testKeyPair('P-256', 'tdx other')

function claimsOf(
  collateral: readonly Collateral[] = tdxCollateral(),
  quote: QuoteChanges = {},
  now = enrollingTdx.now,
) {
  const verified = tdx.parse(tdxEvidence(makeQuote(quote))).verify([tdxAnchor()], { ...enrollingTdx, now }, collateral)
  return verified.claims as unknown as Claims
}
const withInfo = (members: Record<string, Json>, quote: QuoteChanges = {}) =>
  claimsOf(tdxCollateral({ info: tcbInfoDocument(members) }), quote).tcbInfo?.tcb

describe('collateral that is whole', () => {
  test('says that everything is up to date and nothing revoked', () => {
    expect(claimsOf()).toMatchObject({
      revocation: ['good', 'good'],
      qeIdentity: { isCurrent: true, evaluationNumber: 20, tcb: { status: 'UpToDate' } },
      tcbInfo: {
        isCurrent: true,
        evaluationNumber: 20,
        tcb: { status: 'UpToDate', module: 'UpToDate', advisoryIds: [] },
      },
    })
  })

  test('says of itself whose it is and how long it is good', () => {
    const read = ({ kind, body, chain }: Collateral) => collateralKindReaders[kind](body, chain, 0)
    const times = { issuedAt: STATEMENT_ISSUED, nextUpdateAt: STATEMENT_END }
    expect(read(tcbInfoDocument())).toEqual({
      ...times,
      lookupId: 'tdx-tcb-info:50806f000000',
      name: 'TCB info of FMSPC 50806f000000',
    })
    expect(read(qeIdentityDocument())).toEqual({
      ...times,
      lookupId: 'tdx-qe-identity:TD_QE',
      name: 'identity of quoting enclave TD_QE',
    })
  })

  test('is read once', () => {
    const collateral = tdxCollateral()
    expect(claimsOf(collateral)).toEqual(claimsOf(collateral))
  })
})

describe('what is revoked', () => {
  test.each<[string, Partial<Record<'rootCrl' | 'authorityCrl', Collateral>>, string[]]>([
    ['the PCK certificate', { authorityCrl: tdxCrl('authority', { revoked: [33] }) }, ['revoked', 'good']],
    ['its authority', { rootCrl: tdxCrl('root', { revoked: [22] }) }, ['good', 'revoked']],
    [
      'nothing, for nobody signed it',
      { authorityCrl: tdxCrl('authority', { signingKey: other.privateKey, revoked: [33] }) },
      ['unknown', 'good'],
    ],
    [
      'nothing, out of date',
      { rootCrl: tdxCrl('root', { nextUpdate: derTime(enrollingTdx.now - 1000) }) },
      ['good', 'stale'],
    ],
  ])('is %s', (_, lists, revocation) => {
    expect(claimsOf(tdxCollateral(lists)).revocation).toEqual(revocation)
  })

  test('is the signer of statements: they count no more', () => {
    const claims = claimsOf(tdxCollateral({ rootCrl: tdxCrl('root', { revoked: [44] }) }))
    expect(claims).toMatchObject({ qeIdentity: null, tcbInfo: null, revocation: ['good', 'good'] })
  })
})

describe('a statement counts', () => {
  const { basicConstraints, keyUsage } = testExtensions
  const root = tdxRootCertificate()
  const signedByPck = { signingKey: tdxKeys.pck.privateKey, chain: [pckCertificate(), tdxAuthority(), root] }
  const byAuthority = tcbSigner({ issuer: 'TDX Authority', signingKey: tdxKeys.authority.privateKey })
  const otherRoot = tdxRootCertificate({ spki: spkiOf(other), signingKey: other.privateKey })

  test.each<[string, StatementChanges]>([
    ['that another key signed', { signingKey: other.privateKey }],
    ['of which a byte changed', { change: (text) => text.replace('2026-02-15', '2026-02-16') }],
    ['that a platform signed', signedByPck],
    [
      'that a certificate of another name signed',
      { chain: [tcbSigner({ subject: 'Intel SGX PCK Certificate' }), root] },
    ],
    ['that a certificate of an authority below the root signed', { chain: [byAuthority, tdxAuthority(), root] }],
    ['that a certificate of another root signed', { chain: [tcbSigner({ signingKey: other.privateKey }), otherRoot] }],
    [
      'that an expired certificate signed',
      { chain: [tcbSigner({ notAfter: derTime(enrollingTdx.now - 1000) }), root] },
    ],
    [
      'that a certificate for another use signed',
      { chain: [tcbSigner({ extensions: [basicConstraints(false), keyUsage('keyAgreement')] }), root] },
    ],
    ['that says that it is of other platforms', { lookupId: 'tdx-tcb-info:000000000000' }],
  ])('not %s', (_, changes) => {
    expect(claimsOf(tdxCollateral({ info: tcbInfoDocument({}, changes) })).tcbInfo).toBeNull()
  })

  test('not of other platforms, whatever it is looked up as', () => {
    expect(withInfo({ fmspc: '00606A000000' })).toBeUndefined()
    expect(withInfo({ pceId: '0001' })).toBeUndefined()
  })

  test('without the root in its chain', () => {
    expect(claimsOf(tdxCollateral({ info: tcbInfoDocument({}, { chain: [tcbSigner()] }) })).tcbInfo).not.toBeNull()
  })

  test.each([
    [STATEMENT_ISSUED - 1, null],
    [STATEMENT_ISSUED, true],
    [STATEMENT_END, true],
    [STATEMENT_END + 1, false],
  ])('at its times: %i', (now, isCurrent) => {
    const { tcbInfo } = claimsOf(tdxCollateral(), {}, now)
    expect(tcbInfo?.isCurrent ?? null).toBe(isCurrent)
  })

  test('when it is the newest of several', () => {
    const older = tcbInfoDocument({ issueDate: '2026-11-09T00:00:00Z', tcbLevels: [] })
    const newer = tcbInfoDocument({ issueDate: '2026-11-11T00:00:00Z' })
    const future = tcbInfoDocument({ issueDate: '2026-11-29T00:00:00Z', tcbLevels: [] })
    for (const order of [
      [older, newer, future],
      [future, newer, older],
    ]) {
      expect(claimsOf(order).tcbInfo).toMatchObject({ issuedAt: Date.UTC(2026, 10, 11), tcb: { status: 'UpToDate' } })
    }
  })
})

describe('a document is malformed', () => {
  const read = (members: Record<string, Json>, changes: StatementChanges = {}) => {
    const { body, chain } = tcbInfoDocument(members, changes)
    return collateralKindReaders['tdx-tcb-info'](body, chain, 0)
  }
  const text = JSON.stringify(tcbInfoOf())

  test.each<[string, StatementChanges]>([
    ['with a member twice', { statement: text.replace('"version":3', '"version":3,"version":3') }],
    ['with a member twice, deep in it', { statement: text.replace('"pcesvn":11', '"pcesvn":11,"pcesvn":1') }],
    ['with two statements', { statement: `${text},"tcbInfo":${text}` }],
    ['with something before the statement', { change: (whole) => whole.replace('{"tcbInfo"', '{"more":1,"tcbInfo"') }],
    ['with something behind the signature', { change: (whole) => whole.replace(/\}$/, ',"more":1}') }],
    ['with a short signature', { change: (whole) => whole.replace(/..("\})$/, '$1') }],
    ['with another member', { change: (whole) => whole.replace('"tcbInfo"', '"enclaveIdentity"') }],
    ['with much white space', { change: (whole) => `${' '.repeat(17)}${whole}` }],
    ['that is no JSON', { statement: text.slice(0, -1) }],
    ['without certificates', { chain: [] }],
    ['with five certificates', { chain: Array.from({ length: 5 }, () => tcbSigner()) }],
    ['with a certificate that is none', { chain: [Buffer.of(0x30, 0)] }],
  ])('%s', (_, changes) => {
    expect(() => read({}, changes)).toThrow(malformed)
  })

  test.each<[string, Record<string, Json>]>([
    ['of SGX', { id: 'SGX' }],
    ['of another version', { version: 2 }],
    ['of another type', { tcbType: 1 }],
    ['with a time that is none', { issueDate: '2026-11-31T25:00:00Z' }],
    ['with a time in another form', { nextUpdate: '2026-12-10' }],
    ['with a short FMSPC', { fmspc: '50806F' }],
    ['with an unknown status', { tcbLevels: [tcbLevel({ status: 'Fine' })] }],
    [
      'with a status of a module that is none',
      { tdxModuleIdentities: [moduleIdentity(3, [isvLevel(1, 'SWHardeningNeeded')])] },
    ],
    ['with a component above 255', { tcbLevels: [tcbLevel({ sgx: [256] })] }],
  ])('%s', (_, members) => {
    expect(() => read(members)).toThrow(malformed)
  })

  test('not with white space around it', () => {
    expect(read({}, { change: (whole) => `${whole}\n` }).lookupId).toBe('tdx-tcb-info:50806f000000')
  })
})

describe('the level of a platform', () => {
  test.each<[string, Record<string, Json>, QuoteChanges, string]>([
    ['is the first that it reaches', {}, {}, 'UpToDate'],
    [
      'is lower with a lower component',
      { tcbLevels: [tcbLevel({ sgx: [6] }), tcbLevel({ status: 'OutOfDate' })] },
      {},
      'OutOfDate',
    ],
    [
      'is lower with a lower last component',
      { tcbLevels: [tcbLevel({ sgx: [...Array(15).fill(5), 6] }), tcbLevel({ status: 'Revoked' })] },
      {},
      'Revoked',
    ],
    [
      'is lower with a lower PCESVN',
      { tcbLevels: [tcbLevel({ pce: 12 }), tcbLevel({ status: 'SWHardeningNeeded' })] },
      {},
      'SWHardeningNeeded',
    ],
    [
      'is lower with a lower module',
      { tcbLevels: [tcbLevel({ tdx: [4] }), tcbLevel({ status: 'OutOfDate' })] },
      {},
      'OutOfDate',
    ],
    [
      'is lower with lower microcode',
      { tcbLevels: [tcbLevel({ tdx: [0, 0, 6] }), tcbLevel({ status: 'OutOfDate' })] },
      {},
      'OutOfDate',
    ],
    ['is none below all', { tcbLevels: [tcbLevel({ pce: 12 })] }, {}, 'NotSupported'],
  ])('%s', (_, members, quote, status) => {
    expect(withInfo(members, quote)?.status).toBe(status)
  })

  const svn = (...bytes: number[]) => Buffer.concat([Buffer.from(bytes), Buffer.alloc(16 - bytes.length)])
  const of3 = (levels: Json[], changes = {}) => ({
    tdxModuleIdentities: [moduleIdentity(1, []), moduleIdentity(3, levels, changes)],
  })
  const launched = (isvSvn: number) => ({ td: { teeTcbSvn: svn(isvSvn, 3, 5) } })

  test.each<[string, Json[], number, string, string]>([
    ['up to date', [isvLevel(4), isvLevel(2, 'OutOfDate')], 4, 'UpToDate', 'UpToDate'],
    ['out of date', [isvLevel(4), isvLevel(2, 'OutOfDate')], 3, 'OutOfDate', 'OutOfDate'],
    ['revoked', [isvLevel(4), isvLevel(2, 'Revoked')], 2, 'Revoked', 'Revoked'],
    ['below all levels', [isvLevel(4), isvLevel(2, 'OutOfDate')], 1, 'NotSupported', 'NotSupported'],
  ])('with a module of a later version that is %s', (_, levels, isvSvn, module, status) => {
    expect(withInfo(of3(levels), launched(isvSvn))).toMatchObject({ module, status })
  })

  test('does not look at the first two components with a module of a later version', () => {
    const tcbLevels = [tcbLevel({ tdx: [9, 9, 5] })]
    expect(withInfo({ ...of3([isvLevel(1)]), tcbLevels }, launched(1))?.status).toBe('UpToDate')
    expect(withInfo({ tcbLevels }, {})?.status).toBe('NotSupported')
  })

  test.each<[string, Record<string, Json>, QuoteChanges]>([
    ['of a version that is not named', of3([isvLevel(1)]), { td: { teeTcbSvn: svn(3, 2, 5) } }],
    ['of another signer', of3([isvLevel(1)], { mrsigner: '1'.repeat(96) }), launched(3)],
    ['with other attributes', of3([isvLevel(1)], { attributes: '0000000000000001' }), launched(3)],
    [
      'of the first version and another signer',
      { tdxModule: { mrsigner: '1'.repeat(96), attributes: '0'.repeat(16), attributesMask: '0'.repeat(16) } },
      {},
    ],
  ])('with a module %s', (_, members, quote) => {
    expect(withInfo(members, quote)?.module).toBe('Mismatch')
  })

  test('counts attributes of a module under the mask alone', () => {
    const members = of3([isvLevel(1)], { attributesMask: '0'.repeat(16) })
    expect(withInfo(members, launched(3))?.module).toBe('UpToDate')
  })

  test.each([
    ['UpToDate', 'OutOfDate'],
    ['SWHardeningNeeded', 'OutOfDate'],
    ['ConfigurationNeeded', 'OutOfDateConfigurationNeeded'],
    ['ConfigurationAndSWHardeningNeeded', 'OutOfDateConfigurationNeeded'],
    ['OutOfDate', 'OutOfDate'],
    ['OutOfDateConfigurationNeeded', 'OutOfDateConfigurationNeeded'],
    ['Revoked', 'Revoked'],
  ])('%s with a quoting enclave that is out of date is %s', (status, together) => {
    const info = tcbInfoDocument({ tcbLevels: [tcbLevel({ status, advisories: ['INTEL-SA-00001'] })] })
    const { qeIdentity, tcbInfo } = claimsOf(tdxCollateral({ info }), { qe: { isvSvn: Buffer.of(3, 0) } })
    expect(qeIdentity?.tcb.status).toBe('OutOfDate')
    expect(tcbInfo?.tcb).toMatchObject({ status: together, advisoryIds: ['INTEL-SA-00001', 'INTEL-SA-00999'] })
  })

  test('is revoked with a quoting enclave that is, and not supported with one below all levels', () => {
    const identity = qeIdentityDocument({ tcbLevels: [isvLevel(5), isvLevel(4, 'Revoked')] })
    expect(claimsOf(tdxCollateral({ identity })).tcbInfo?.tcb.status).toBe('Revoked')
    const none = claimsOf(tdxCollateral(), { qe: { isvSvn: Buffer.of(1, 0) } })
    expect(none).toMatchObject({
      qeIdentity: { tcb: { status: 'NotSupported' } },
      tcbInfo: { tcb: { status: 'NotSupported' } },
    })
  })

  test.each<[string, NonNullable<QuoteChanges['qe']>, string]>([
    ['another signer', { mrSigner: Buffer.alloc(32) }, 'Mismatch'],
    ['another product', { isvProdId: Buffer.of(1, 0) }, 'Mismatch'],
    ['another MISCSELECT', { miscSelect: Buffer.of(0, 0, 0, 1) }, 'Mismatch'],
    ['debug in its attributes', { attributes: Buffer.from('13000000000000000000000000000000', 'hex') }, 'Mismatch'],
    [
      'attributes that the mask leaves out',
      { attributes: Buffer.from('15000000000000000700000000000000', 'hex') },
      'UpToDate',
    ],
  ])('of a quoting enclave with %s', (_, qe, status) => {
    expect(claimsOf(tdxCollateral(), { qe }).qeIdentity?.tcb.status).toBe(status)
  })

  describe('advises to launch anew', () => {
    const members = of3([isvLevel(4), isvLevel(2, 'OutOfDate')])
    const now15 = (current: Buffer, more: QuoteChanges = {}): QuoteChanges => ({
      version: 5,
      report: '1.5',
      ...more,
      td: { teeTcbSvn: svn(3, 3, 5), teeTcbSvn2: current, ...more.td },
    })

    test.each<[string, Record<string, Json>, QuoteChanges, string]>([
      ['when the module is newer now', {}, now15(svn(4, 3, 5)), 'TDRelaunchAdvised'],
      ['when it is of the first version and new enough', {}, now15(svn(3, 0, 5)), 'TDRelaunchAdvised'],
      [
        'and to configure',
        { tcbLevels: [tcbLevel({ status: 'ConfigurationNeeded' })] },
        now15(svn(4, 3, 5)),
        'TDRelaunchAdvisedConfigurationNeeded',
      ],
      ['not when the module is still old', {}, now15(svn(3, 3, 5)), 'OutOfDate'],
      ['not when the first version is old', {}, now15(svn(2, 0, 5)), 'OutOfDate'],
      ['not when the microcode is old', {}, now15(svn(4, 3, 4)), 'OutOfDate'],
      ['not when nobody knows the module', {}, now15(svn(4, 2, 5)), 'OutOfDate'],
      [
        'not when the module was good at the launch',
        {},
        now15(svn(4, 3, 5), { td: { teeTcbSvn: svn(4, 3, 5) } }),
        'UpToDate',
      ],
      [
        'not when the hardware is out of date',
        { tcbLevels: [tcbLevel({ pce: 12 }), tcbLevel({ status: 'OutOfDate' })] },
        now15(svn(4, 3, 5)),
        'OutOfDate',
      ],
      [
        'not when the quoting enclave is out of date',
        {},
        now15(svn(4, 3, 5), { qe: { isvSvn: Buffer.of(3, 0) } }),
        'OutOfDate',
      ],
      ['not without TDX 1.5', {}, launched(3), 'OutOfDate'],
    ])('%s', (_, more, quote, status) => {
      expect(withInfo({ ...members, ...more }, quote)?.status).toBe(status)
    })
  })
})
