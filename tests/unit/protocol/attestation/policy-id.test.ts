import { describe, expect, test } from 'vitest'
import { parsePolicyId, policyId, policyName, toPolicyId } from '../../../../protocol/attestation/policy-id.ts'

describe('the id of a policy', () => {
  test.each([
    ['edge', { name: 'edge', version: undefined }],
    ['edge@3', { name: 'edge', version: 3 }],
    ['0.tpm_strict-2@999999999', { name: '0.tpm_strict-2', version: 999_999_999 }],
    ['none', { name: 'none', version: undefined }],
  ])('%s is read', (text, parsed) => {
    expect(parsePolicyId(text)).toEqual(parsed)
    expect(policyId.parse(text)).toBe(text)
  })

  test.each([
    '',
    '@',
    'edge@',
    '@3',
    'edge@0',
    'edge@-1',
    'edge@01',
    'edge@1e3',
    'edge@3 ',
    'edge@3@3',
    'edge@1000000000',
  ])('%j is none', (text) =>
    expect([parsePolicyId(text), policyId.safeParse(text).success]).toEqual([undefined, false]),
  )

  test.each(['Edge', '.edge', '-edge', 'é', 'e dge', 'a'.repeat(65), 'none@1'])('%j is none', (text) => {
    expect(parsePolicyId(text)).toBeUndefined()
  })

  test('is written as it is read, and is never the id of another policy', () => {
    const version = { name: 'a'.repeat(64), version: 1 }
    expect(parsePolicyId(toPolicyId(version))).toEqual(version)
    expect(policyName.safeParse('a@1').success).toBe(false)
  })
})
