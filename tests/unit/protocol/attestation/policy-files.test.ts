import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { policyBody, policyDocument, policyHash, policyNone } from '../../../../protocol/attestation/policy.ts'
import { policySchema } from '../../../../protocol/attestation/policy-schema.ts'
import { native as crypto } from '../../../support/protocol-providers.ts'

const folder = join(import.meta.dirname, '..', '..', '..', '..', 'deploy', 'policies')
const read = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'))
const files = readdirSync(folder).filter((name) => name !== 'policy.schema.json')

test('the schema in deploy/policies is that of the documents that are taken', () => {
  expect(read('policy.schema.json'), 'deploy/policies/policy.schema.json is out of date: run npm run schema').toEqual(
    policySchema(),
  )
})

describe('a starter policy', () => {
  test.each(files)('%s is a policy, and says what it is for', (name) => {
    expect(name).toMatch(/^[a-z0-9-]+\.json$/)
    expect(policyDocument.parse(read(name)).description).toMatch(/\S/)
  })

  test('none.json says what the policy none says', () => {
    const { description: _one, ...file } = policyDocument.parse(read('none.json'))
    const { description: _other, ...builtIn } = policyNone
    expect(file).toEqual(builtIn)
  })
})

describe('the text of a policy', () => {
  test('spells out what was left out, in one order, and is read as what it was written from', () => {
    const written = policyDocument.parse({ enroll: ['none'], evidence: { none: { rules: {} } }, v: 1 })
    const body = policyBody(written)
    expect(body).toBe('{"enroll":["none"],"evidence":{"none":{"referenceValues":[],"rules":{}}},"v":1}')
    expect(policyDocument.parse(JSON.parse(body))).toEqual(written)
  })

  test('has a hash that anybody can compute: SHA3-256, base64url', () => {
    // By another implementation.
    expect(policyHash(crypto, 'abc')).toBe('Ophdp0_iJbIEXBcta9OQvYVfCG4-nVJbRr_iRRFDFTI')
  })
})
