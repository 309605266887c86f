import { test } from 'vitest'
import type { ExpectedEvidence } from '../../../../protocol/attestation/evidence-format.ts'
import { psa } from '../../../../protocol/attestation/formats/psa.ts'
import { fixtures, readFixture, readPemFixture } from '../../../support/fixtures.ts'
import { FUZZ_TIMEOUT_MS, fuzz } from '../../../support/fuzz.ts'
import { enrollingPsa, makeToken, psaAnchor, psaEvidence, psaKeyPair } from '../../../support/psa.ts'

const anchors = (['ES256', 'ES384', 'ES512'] as const).map((algorithm) => psaAnchor(psaKeyPair(algorithm)))
const seeds = [
  makeToken(),
  makeToken({ profile: 'draft', algorithm: 'ES384' }),
  makeToken({ profile: 'legacy', algorithm: 'ES512' }),
]
/** With its tag or without it, a token is the same. */
const untagged = (token: Uint8Array) => (token[0] === 0xd2 ? token.subarray(1) : token)

test('no mutation of a token is taken, and each is refused as evidence', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fuzz('psa', seeds, (bytes) => psa.parse(psaEvidence(bytes)).verify(anchors, enrollingPsa), untagged)
})

test.skipIf(fixtures === undefined)(
  'no mutation of a token of QFLARE_FIXTURES is taken; unset, none is read',
  { timeout: FUZZ_TIMEOUT_MS },
  () => {
    const tokens = ['psa-2_0_0_sign1.bin', 'psa-iot-1_sign1.bin'].map((name) => readFixture(`public/psa/${name}`))
    const [der] = readPemFixture('public/psa/public.pem', 'PUBLIC KEY') as [Buffer]
    const expected: ExpectedEvidence = { ...enrollingPsa, binding: Buffer.alloc(64) }
    const verify = (bytes: Uint8Array) => {
      const parsed = psa.parse(psaEvidence(bytes))
      const known = parsed.trustAnchorIds.map((lookupId) => ({ lookupId, kind: 'key' as const, der }))
      parsed.verify(known, expected)
    }
    fuzz('psa of QFLARE_FIXTURES', tokens, verify, untagged)
  },
)
