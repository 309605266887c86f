import { describe, expect, test } from 'vitest'
import { sevSnp } from '../../../../protocol/attestation/formats/sev-snp.ts'
import { makeSevSnp, type SevSnpOptions } from '../../../support/sev-snp/evidence.ts'
import { reportFields as at } from '../../../support/sev-snp/report.ts'

function claimsOf(options: SevSnpOptions) {
  const { evidence, anchors, expected } = makeSevSnp(options)
  return sevSnp.parse(evidence).verify(anchors, expected, []).claims
}
const changing = (change: (report: Buffer) => void): SevSnpOptions => ({ change })
const setting = (field: number, value: number): SevSnpOptions => changing((report) => void (report[field] = value))
const bitOf = (field: number, bit: number): SevSnpOptions =>
  changing((report) => report.writeBigUInt64LE(report.readBigUInt64LE(field) | (1n << BigInt(bit)), field))

describe('a report', () => {
  test.each([
    [18, 'migration'],
    [19, 'debug'],
    [20, 'single-socket'],
    [21, 'cxl'],
    [22, 'aes-256-xts'],
    [23, 'rapl-disabled'],
    [24, 'ciphertext-hiding'],
    [25, 'page-swap-disabled'],
  ])('with bit %i of its guest policy says %s (ABI 56860, table 9)', (bit, flag) => {
    expect(claimsOf(bitOf(at.policy, bit))).toMatchObject({ policy: { flags: ['smt', flag] } })
  })

  test('with bit 16 of its guest policy alone says SMT, and without it nothing', () => {
    expect(claimsOf(setting(at.policy + 2, 0b11))).toMatchObject({ policy: { flags: ['smt'] } })
    expect(claimsOf(setting(at.policy + 2, 0b10))).toMatchObject({ policy: { flags: [] } })
  })

  test.each([
    [0, 'smt'],
    [1, 'tsme'],
    [2, 'ecc'],
    [3, 'rapl-disabled'],
    [4, 'ciphertext-hiding'],
    [5, 'alias-check'],
    [6, 'iommu-write-safe'],
    [7, 'tio'],
  ])('with bit %i of its platform says %s', (bit, flag) => {
    expect(claimsOf(setting(at.platform, 1 << bit))).toMatchObject({ platform: [flag] })
  })

  test('that the host asked for says so by its VMPL', () => {
    expect(claimsOf(changing((report) => void report.fill(0xff, at.vmpl, at.vmpl + 4)))).toMatchObject({
      vmpl: 0xffffffff,
    })
  })
})
