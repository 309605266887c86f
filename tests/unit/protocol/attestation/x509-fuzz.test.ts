import { test } from 'vitest'
import { parseCertificate } from '../../../../protocol/attestation/x509/parse-certificate.ts'
import { verifyPath } from '../../../../protocol/attestation/x509/verify-path.ts'
import { FUZZ_TIMEOUT_MS, fuzz } from '../../../support/fuzz.ts'
import { CERTIFICATE_NOW, makePath, parsePath, TEST_PURPOSE } from '../../../support/x509.ts'
import { pss } from '../../../support/x509-signing.ts'

const signing = pss({ hash: 'SHA384', saltLength: 48 })
const paths = [
  makePath(),
  makePath({ kind: 'P-384' }),
  makePath({ kind: 'P-521' }),
  makePath({ kind: 'RSA-2048' }),
  makePath({ kind: 'RSA-2048', leaf: { signing }, intermediate: { signing } }),
]
const parsed = paths.map(parsePath)

test('no mutation of a leaf or an intermediate is taken, and each is refused as evidence', {
  timeout: FUZZ_TIMEOUT_MS,
}, () => {
  const seeds = paths.flatMap(({ leaf, intermediate }) => [leaf, intermediate])
  fuzz('x509', seeds, (bytes, index) => {
    const certificate = parseCertificate(bytes)
    const { root, intermediate, leaf } = parsed[index >> 1] as (typeof parsed)[number]
    const given =
      index % 2 === 0 ? { leaf: certificate, intermediates: [intermediate] } : { leaf, intermediates: [certificate] }
    verifyPath({
      ...given,
      roots: [root],
      now: CERTIFICATE_NOW,
      check: 'test.path',
      leafExtendedKeyUsage: TEST_PURPOSE,
    })
  })
})
