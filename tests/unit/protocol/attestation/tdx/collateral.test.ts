import { describe, expect, test } from 'vitest'
import { collateralKindReaders } from '../../../../../protocol/attestation/collateral-kinds.ts'
import type { Collateral } from '../../../../../protocol/attestation/evidence-format.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import { der, derId, derSequence, derText, derTime } from '../../../../support/der.ts'
import { claimsOf, withInfo } from '../../../../support/tdx/claims.ts'
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
  TDX_FMSPC,
  tcbSigner,
  tdxAuthority,
  tdxCrl,
  tdxKeys,
  tdxRootCertificate,
} from '../../../../support/tdx/platform.ts'
import { enrollingTdx } from '../../../../support/tdx/quote.ts'
import { testExtensions } from '../../../../support/x509.ts'
import { spkiOf, testKeyPair } from '../../../../support/x509-signing.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const other = testKeyPair('P-256', 'tdx other')

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
  const SIGNER = 'Intel SGX TCB Signing'
  const named = (id: string, text: string) => der(0x31, derSequence(derId(id), derText(text)))
  const subject = (...names: Uint8Array[]) => ({ chain: [tcbSigner({ subject: derSequence(...names) }), root] })
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
    ['that an organization of that name signed', subject(named('2.5.4.10', SIGNER))],
    ['that somebody without a value of a name signed', subject(der(0x31, derSequence(derId('2.5.4.3'))))],
    ['that somebody with an empty name signed', subject(der(0x31, derSequence()))],
    ['that says that it is of other platforms', { lookupId: 'tdx-tcb-info:000000000000' }],
  ])('not %s', (_, changes) => {
    expect(claimsOf(tdxCollateral({ info: tcbInfoDocument({}, changes) })).tcbInfo).toBeNull()
  })

  test('not of other platforms, whatever it is looked up as', () => {
    expect(withInfo({ fmspc: '00606A000000' })).toBeUndefined()
    expect(withInfo({ pceId: '0001' })).toBeUndefined()
  })

  test('not of the quoting enclave, whatever it is looked up as', () => {
    const lookupId = `tdx-tcb-info:${TDX_FMSPC}`
    expect(claimsOf([{ ...qeIdentityDocument(), lookupId }]).tcbInfo).toBeNull()
  })

  test('when its signer has other names besides', () => {
    const changes = subject(named('2.5.4.10', 'Intel Corporation'), named('2.5.4.3', SIGNER))
    expect(claimsOf(tdxCollateral({ info: tcbInfoDocument({}, changes) })).tcbInfo).not.toBeNull()
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
    ['with another member of the same length', { change: (whole) => whole.replace('"tcbInfo"', '"tcbInfa"') }],
    ['with a signature that is not in hex', { change: (whole) => whole.replace(/..("\})$/, 'zz$1') }],
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

  test.each<[string, StatementChanges]>([
    ['white space around it', { change: (whole) => `${' '.repeat(15)}${whole}\n` }],
    ['four certificates', { chain: Array.from({ length: 4 }, () => tcbSigner()) }],
  ])('not with %s', (_, changes) => {
    expect(read({}, changes).lookupId).toBe('tdx-tcb-info:50806f000000')
  })
})
