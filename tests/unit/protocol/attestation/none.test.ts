import { describe, expect, test } from 'vitest'
import { none } from '../../../../protocol/attestation/formats/none.ts'

describe('evidence of the format none', () => {
  test.each([
    ['alone', { format: 'none' }],
    ['with claims', { format: 'none', claims: { os: 'linux', cores: 4, nested: [null, { a: true }] } }],
  ])('is read: %s', (_, evidence) => {
    const verified = none.parse(evidence).verify([], {
      binding: new Uint8Array(32),
      identityKey: new Uint8Array(1312),
      now: 0,
      attester: { kind: 'enrolling', activation: undefined },
    })
    expect(verified.attester).toBeUndefined()
    expect(verified.appraise({}, [])).toEqual([])
  })

  test.each([
    ['with an unknown member', { format: 'none', quote: '' }],
    ['of another format', { format: 'tpm2' }],
    ['with claims that are no object', { format: 'none', claims: 'linux' }],
    ['with a claim whose name is too long', { format: 'none', claims: { ['n'.repeat(65)]: 1 } }],
    ['with a claim that is not JSON', { format: 'none', claims: { a: Number.NaN } }],
  ])('is refused: %s', (_, evidence) => {
    expect(() => none.parse(evidence)).toThrow(expect.objectContaining({ code: 'evidence_malformed' }))
  })
})
