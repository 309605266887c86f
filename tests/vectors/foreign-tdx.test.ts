import { describe, expect, test } from 'vitest'
import type { Collateral, ExpectedEvidence, TrustAnchor } from '../../protocol/attestation/evidence-format.ts'
import { parseQuote } from '../../protocol/attestation/formats/tdx/quote.ts'
import { parseSignedJson } from '../../protocol/attestation/formats/tdx/signed-json.ts'
import { qeIdentity, tcbInfo } from '../../protocol/attestation/formats/tdx/statements.ts'
import { platformTcbOf, qeTcbOf } from '../../protocol/attestation/formats/tdx/tcb-level.ts'
import { tdx } from '../../protocol/attestation/formats/tdx.ts'
import { parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import { parseCrl } from '../../protocol/attestation/x509/parse-crl.ts'
import { crlIdOf } from '../../protocol/attestation/x509/revocation.ts'
import { fixtures, readFixture, readPemFixture } from '../support/fixtures.ts'
import { enrollingTdx, tdxEvidence } from '../support/tdx/quote.ts'

const read = (name: string) => readFixture(`public/tdx/${name}`)

/** Behind one of them stands a text, for tests. */
const TEXT = '\nextra bytes(only for testing purpose)\n'
function wholeQuote(name: string): Buffer {
  const quote = read(name)
  return quote.subarray(-TEXT.length).toString('latin1') === TEXT ? quote.subarray(0, -TEXT.length) : quote
}

function intelRoot(): TrustAnchor {
  const [der] = readPemFixture('public/tdx/trusted_root.pem', 'CERTIFICATE') as [Buffer]
  return { lookupId: parseCertificate(der).subjectId, kind: 'root', der }
}

function crl(name: string): Collateral {
  const body = read(name)
  const { issuerId, thisUpdate: issuedAt, nextUpdate: nextUpdateAt } = parseCrl(body)
  return { lookupId: crlIdOf(issuerId), kind: 'crl', issuedAt, nextUpdateAt, body, chain: [] }
}

/** None of the quotes was made for one of our bindings: what stands in its place is taken for it where it can be. */
const refusalOf = (quote: Uint8Array, expected: Partial<ExpectedEvidence>, collateral: readonly Collateral[] = []) => {
  try {
    return tdx.parse(tdxEvidence(quote)).verify([intelRoot()], { ...enrollingTdx, ...expected }, collateral)
  } catch (error) {
    return (error as { check?: string }).check
  }
}

describe.skipIf(fixtures === undefined)('quotes of QFLARE_FIXTURES; unset, none is read', () => {
  test.each([
    ['tdx_prod_quote_SPR_E4.dat', Date.UTC(2023, 5, 20), '50806f000000'],
    ['cos-113-tdx-quote.dat', Date.UTC(2024, 8, 1), undefined],
    ['quote_v5_sample.dat', Date.UTC(2026, 5, 1), undefined],
  ])('%s is signed on a path to the root of Intel, and for another binding', (name, now, fmspc) => {
    const quote = wholeQuote(name)
    const { collateralIds } = tdx.parse(tdxEvidence(quote))
    expect(collateralIds).toContain('tdx-qe-identity:TD_QE')
    if (fmspc !== undefined) expect(collateralIds).toContain(`tdx-tcb-info:${fmspc}`)
    expect(refusalOf(quote, { now })).toBe('tdx.report_data')
    expect(refusalOf(quote, { now: Date.UTC(2010, 0, 1) })).toBe('tdx.pck_path.validity')
    const changed = Buffer.from(quote)
    changed[200] = (changed[200] as number) ^ 1
    expect(refusalOf(changed, { now })).toBe('tdx.signature')
  })

  test('with a text behind them are malformed', () => {
    expect(() => tdx.parse(tdxEvidence(read('tdx_prod_quote_SPR_E4.dat')))).toThrow(
      expect.objectContaining({ code: 'evidence_malformed' }),
    )
  })

  test('are held against what Intel published of them: this platform is older than all of it', () => {
    const { qe, report, certificates } = parseQuote(wholeQuote('tdx_prod_quote_SPR_E4.dat'))
    const info = parseSignedJson(read('sample_tcbInfo_response'), 'tcbInfo', tcbInfo).statement
    const identity = parseSignedJson(read('sample_qeIdentity_response'), 'enclaveIdentity', qeIdentity).statement
    const enclave = qeTcbOf(qe, identity)
    expect(enclave.status).toBe('UpToDate')
    expect(platformTcbOf(certificates.platform, report, info, enclave)).toEqual({
      status: 'NotSupported',
      module: 'UpToDate',
      advisoryIds: [],
    })
    const [first] = info.tcbLevels
    const components = first?.tcb.sgxtcbcomponents.map(({ svn }) => svn) ?? []
    const newer = { ...certificates.platform, components }
    const microcode = Buffer.from('03000500000000000000000000000000', 'hex')
    expect(platformTcbOf(newer, { ...report, teeTcbSvn: microcode }, info, enclave).status).toBe('UpToDate')
  })

  test.each(['pckcrl', 'rootcrl.der'])('%s is looked up as quotes ask for it', (name) => {
    const { collateralIds } = tdx.parse(tdxEvidence(wholeQuote('tdx_prod_quote_SPR_E4.dat')))
    expect(collateralIds).toContain(crl(name).lookupId)
  })

  test('statements of Intel are read, and their bytes are cut out whole', () => {
    const info = parseSignedJson(read('sample_tcbInfo_response'), 'tcbInfo', tcbInfo)
    expect(info.statement).toMatchObject({ fmspc: '50806f000000', tcbEvaluationDataNumber: 15 })
    expect(info.statement.tcbLevels.map(({ tcbStatus }) => tcbStatus)).toEqual(['UpToDate', 'OutOfDate'])
    const identity = parseSignedJson(read('sample_qeIdentity_response'), 'enclaveIdentity', qeIdentity)
    expect(identity.statement).toMatchObject({
      isvprodid: 2,
      tcbLevels: [{ tcb: { isvsvn: 4 }, tcbStatus: 'UpToDate' }],
    })
    expect(Buffer.from(identity.signed).toString()).toMatch(/^\{"id":"TD_QE".*\]\}$/)
  })
})
