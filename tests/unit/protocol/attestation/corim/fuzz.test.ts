import fc from 'fast-check'
import { expect, test } from 'vitest'
import { evidenceFormats } from '../../../../../protocol/attestation/formats.ts'
import { ProtocolError } from '../../../../../protocol/errors.ts'
import { makeCorim, signCorim } from '../../../../support/corim/corim.ts'
import { readBytesOf } from '../../../../support/corim/reading.ts'
import { psaReference, psaRefvalClaim, sevSnpReference, tdxReference } from '../../../../support/corim/references.ts'
import { FUZZ_TIMEOUT_MS, fuzz, fuzzRuns, mutationOf } from '../../../../support/fuzz.ts'
import { psaKeyPair } from '../../../../support/psa.ts'
import { spkiOf } from '../../../../support/x509-signing.ts'

const seeds = [
  makeCorim({ references: [psaReference({ class: { 1: 'Acme' } })] }),
  makeCorim({ profile: 'psa of before', references: [psaReference({ claims: [psaRefvalClaim()] })] }),
  makeCorim({ profile: 'sev-snp', references: [sevSnpReference()] }),
  makeCorim({ profile: 'tdx', references: [tdxReference()] }),
]

test('no mutation of a signed CoRIM is taken, and each is refused as one', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const signer = spkiOf(psaKeyPair())
  fuzz(
    'corim, signed',
    seeds.map((seed) => signCorim(seed)),
    (bytes) => readBytesOf(bytes, { signer, partial: true }),
  )
})

test('any mutation of a CoRIM is refused as one, or gives values that the service takes', {
  timeout: FUZZ_TIMEOUT_MS,
}, () => {
  let taken = 0
  fc.assert(
    fc.property(mutationOf(seeds), ({ bytes }) => {
      try {
        const { format, values } = readBytesOf(bytes, { partial: true })
        for (const value of values) expect(evidenceFormats[format].referenceValue.safeParse(value).success).toBe(true)
        taken += 1
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        expect(error.code).toBe('corim_invalid')
      }
    }),
    { numRuns: fuzzRuns },
  )
  expect(taken).toBeGreaterThan(0)
})
