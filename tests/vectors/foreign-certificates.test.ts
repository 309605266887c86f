import { describe, expect, test } from 'vitest'
import { type ParsedCertificate, parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import { type PathOptions, verifyPath } from '../../protocol/attestation/x509/verify-path.ts'
import { fixtures, readFixture, readPemFixture } from '../support/fixtures.ts'

const now = Date.UTC(2026, 10, 28)
const der = (path: string) => parseCertificate(readFixture(path))
const pem = (path: string) => readPemFixture(path, 'CERTIFICATE').map((one) => parseCertificate(one))

/** What is in front is the leaf, what is at the end is (or is replaced by) the root. */
function path(certificates: readonly ParsedCertificate[], given: Partial<PathOptions> = {}): PathOptions {
  const [leaf, ...others] = certificates as [ParsedCertificate, ...ParsedCertificate[]]
  return { leaf, intermediates: others.slice(0, -1), roots: others.slice(-1), now, check: 'foreign', ...given }
}

/** Of chains that are over by now: a second before the first of them ends. */
const whileValid = (certificates: readonly ParsedCertificate[]) =>
  path(certificates, { now: Math.min(...certificates.map(({ notAfter }) => notAfter)) - 1000 })

describe.skipIf(fixtures === undefined)('certificates of QFLARE_FIXTURES; unset, none is read', () => {
  test('of AMD, signed with PSS, lead to their root', () => {
    const [ask, ark] = pem('public/sev-snp/ask_ark_milan.pem') as [ParsedCertificate, ParsedCertificate]
    expect(verifyPath(path([der('public/sev-snp/vcek.testcer'), ask, ark]))).toHaveLength(3)
    const [otherAsk, otherArk] = pem('public/sev-snp/ask_ark_genoa.pem') as [ParsedCertificate, ParsedCertificate]
    expect(() => verifyPath(path([der('public/sev-snp/vcek.testcer'), otherAsk, otherArk]))).toThrow(
      expect.objectContaining({ check: 'foreign.anchor' }),
    )
  })

  test.each(['tdx_prod_quote_SPR_E4.dat', 'quote_v5_sample.dat', 'cos-113-tdx-quote.dat'])(
    'of Intel lead to the root that is pinned, not to the one in the quote: %s',
    (name) => {
      const chain = pem(`public/tdx/${name}`)
      const roots = pem('public/tdx/trusted_root.pem')
      expect(verifyPath(path(chain, { roots }))).toHaveLength(3)
      expect(verifyPath(path(chain, { roots, intermediates: chain.slice(1) })).at(-1)).toBe(roots[0])
      expect(() => verifyPath(path(chain, { roots: [], intermediates: chain.slice(1) }))).toThrow(
        expect.objectContaining({ check: 'foreign.anchor' }),
      )
    },
  )

  test.each([
    ['akita-sdk34-TEE_EC_NONE.pem', 5],
    ['caiman-sdk36-TEE_EC_RKP.pem', 5],
    ['marlin-sdk29-TEE_EC_NONE.pem', 3],
    ['tegu-sdk36-SB_EC_2026_ROOT.pem', 5],
  ])('of Android lead to their root: %s', (name, length) => {
    expect(verifyPath(whileValid(pem(`public/android/${name}`)))).toHaveLength(length)
  })

  test.each([
    ['tags_not_in_ascending_order.pem', 'signature'],
    ['tokay-sdk37-TEE_MLDSA_FACTORY.pem', 'key'],
  ])('of Android are refused for the reason that their source gives: %s', (name, check) => {
    expect(() => verifyPath(whileValid(pem(`public/android/${name}`)))).toThrow(
      expect.objectContaining({ code: 'evidence_refused', check: `foreign.${check}` }),
    )
  })

  test('of Android are refused when they are over', () => {
    expect(() => verifyPath(path(pem('public/android/akita-sdk34-TEE_EC_NONE.pem')))).toThrow(
      expect.objectContaining({ check: 'foreign.validity' }),
    )
  })

  test.each([
    ['rsa', 'keyEncipherment'],
    ['p256', 'keyAgreement'],
    ['p384', 'keyAgreement'],
  ] as const)('of swtpm lead to their root: %s', (name, leafKeyUsage) => {
    const chain = [`dev1/ek-${name}.crt.der`, 'ca-dev/intermediate.der', 'ca-dev/root.der'].map((file) =>
      der(`tpm/${file}`),
    )
    const terms = { leafKeyUsage, leafExtendedKeyUsage: '2.23.133.8.1' }
    expect(verifyPath(path(chain, { ...terms, criticalLeafExtensions: ['2.5.29.17'] }))).toHaveLength(3)
    expect(() => verifyPath(path(chain, terms))).toThrow(
      expect.objectContaining({ check: 'foreign.critical_extension' }),
    )
  })
})
