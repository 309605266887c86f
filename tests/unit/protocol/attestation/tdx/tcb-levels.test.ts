import { describe, expect, test } from 'vitest'
import type { Json } from '../../../../../protocol/encoding.ts'
import { claimsOf, withInfo } from '../../../../support/tdx/claims.ts'
import {
  isvLevel,
  moduleIdentity,
  qeIdentityDocument,
  tcbInfoDocument,
  tcbLevel,
  tdxCollateral,
} from '../../../../support/tdx/collateral.ts'
import type { QuoteChanges } from '../../../../support/tdx/quote.ts'

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

  test('stays not supported with a quoting enclave that is out of date', () => {
    const info = tcbInfoDocument({ tcbLevels: [] })
    const { tcbInfo } = claimsOf(tdxCollateral({ info }), { qe: { isvSvn: Buffer.of(3, 0) } })
    expect(tcbInfo?.tcb.status).toBe('NotSupported')
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
      ['not when nobody knows the module of now', {}, now15(svn(4, 2, 5)), 'NotSupported'],
      ['not when the module of now is below all levels', {}, now15(svn(1, 3, 5)), 'NotSupported'],
      [
        'not when the TCB of now is below all levels, however good that of the launch was',
        { tcbLevels: [tcbLevel({})] },
        now15(svn(4, 3, 4), { td: { teeTcbSvn: svn(4, 3, 5) } }),
        'NotSupported',
      ],
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
      [
        'and to configure what the hardware needs',
        { tcbLevels: [tcbLevel({ tdx: [0, 0, 6], status: 'ConfigurationNeeded' }), tcbLevel({})] },
        now15(svn(4, 3, 6)),
        'TDRelaunchAdvisedConfigurationNeeded',
      ],
      [
        'when the microcode is newer now',
        { tcbLevels: [tcbLevel({}), tcbLevel({ tdx: [0, 0, 4], status: 'OutOfDate' })] },
        now15(svn(4, 3, 5), { td: { teeTcbSvn: svn(4, 3, 4) } }),
        'TDRelaunchAdvised',
      ],
      [
        'and to configure what the launch needed',
        {
          tcbLevels: [tcbLevel({}), tcbLevel({ tdx: [0, 0, 4], status: 'OutOfDateConfigurationNeeded' })],
        },
        now15(svn(4, 3, 5), { td: { teeTcbSvn: svn(4, 3, 4) } }),
        'TDRelaunchAdvisedConfigurationNeeded',
      ],
      [
        'when what is left is to harden',
        { tcbLevels: [tcbLevel({ status: 'SWHardeningNeeded' })] },
        now15(svn(4, 3, 5)),
        'TDRelaunchAdvised',
      ],
      [
        'when what is left is to harden and to configure',
        { tcbLevels: [tcbLevel({ status: 'ConfigurationAndSWHardeningNeeded' })] },
        now15(svn(4, 3, 5)),
        'TDRelaunchAdvisedConfigurationNeeded',
      ],
      [
        'not when it was revoked at the launch and is newer now',
        { tcbLevels: [tcbLevel({}), tcbLevel({ tdx: [0, 0, 4], status: 'Revoked' })] },
        now15(svn(4, 3, 5), { td: { teeTcbSvn: svn(4, 3, 4) } }),
        'Revoked',
      ],
      [
        'not when the microcode is older now',
        { tcbLevels: [tcbLevel({}), tcbLevel({ tdx: [0, 0, 4], status: 'OutOfDate' })] },
        now15(svn(4, 3, 4), { td: { teeTcbSvn: svn(4, 3, 5) } }),
        'UpToDate',
      ],
      [
        'not when the level of the launch is revoked',
        { tcbLevels: [tcbLevel({}), tcbLevel({ tdx: [0, 0, 4], status: 'Revoked' })] },
        now15(svn(4, 3, 5), { td: { teeTcbSvn: svn(3, 3, 4) } }),
        'Revoked',
      ],
      [
        'not when the level of the hardware is revoked',
        { tcbLevels: [tcbLevel({ tdx: [0, 0, 6], status: 'Revoked' }), tcbLevel({ status: 'OutOfDate' })] },
        now15(svn(4, 3, 6)),
        'OutOfDate',
      ],
      [
        "when the quoting enclave is not Intel's, of which another finding speaks",
        {},
        now15(svn(4, 3, 5), { qe: { mrSigner: Buffer.alloc(32) } }),
        'TDRelaunchAdvised',
      ],
      [
        'not when the hardware is below all levels',
        { tcbLevels: [tcbLevel({ pce: 12 })] },
        now15(svn(4, 3, 5)),
        'NotSupported',
      ],
      ['not when there are no levels', { tcbLevels: [] }, now15(svn(4, 3, 5)), 'NotSupported'],
      ['not without TDX 1.5', {}, launched(3), 'OutOfDate'],
    ])('%s', (_, more, quote, status) => {
      expect(withInfo({ ...members, ...more }, quote)?.status).toBe(status)
    })

    test('when nothing is known of the quoting enclave, too', () => {
      const collateral = [tcbInfoDocument(members)]
      expect(claimsOf(collateral, now15(svn(4, 3, 5))).tcbInfo?.tcb.status).toBe('TDRelaunchAdvised')
    })
  })
})
