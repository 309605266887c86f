import { describe, expect, test } from 'vitest'
import type { ExpectedEvidence, TrustAnchor } from '../../protocol/attestation/evidence-format.ts'
import { appleAppAttest } from '../../protocol/attestation/formats/apple-app-attest.ts'
import { parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import { parsePem } from '../../protocol/attestation/x509/pem.ts'
import type { Json } from '../../protocol/encoding.ts'
import { readText } from '../architecture/repository.ts'
import { enrollingAppAttest, knownAppAttest } from '../support/apple-app-attest/evidence.ts'
import { hasFixtures, readFixture } from '../support/fixtures.ts'

const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })

interface Capture {
  attestation: string
  assertion?: string
  clientDataHash: string
  appId: string
  at: string
  environment: string
  launchCategory: number | null
  bundleVersion: string | null
}
const readCapture = (name: string): Capture =>
  JSON.parse(readFixture(`public/apple-app-attest/${name}.json`).toString('utf8'))

/** Apple's, as the command has it. */
const anchors = parsePem(readText('deploy/anchors/apple-app-attestation-root-ca.pem'), 'CERTIFICATE').map(
  (der): TrustAnchor => ({ lookupId: parseCertificate(der).subjectId, kind: 'root', der }),
)

function expectedOf({ clientDataHash, at }: Capture): ExpectedEvidence {
  return { ...enrollingAppAttest, binding: Buffer.from(clientDataHash, 'base64url'), now: Date.parse(at) }
}
const evidenceOf = (members: Record<string, Json>) => ({ format: 'apple-app-attest', ...members })

describe.skipIf(!hasFixtures('public/apple-app-attest'))('attestations of QFLARE_FIXTURES, where it has any', () => {
  test.each([
    ['guide', [2, 2, 2, 2]],
    ['ios-14.4', [2, 2, 96, 2]],
  ] as const)('lead to the root of Apple and say which app it is: %s', (name, values) => {
    const capture = readCapture(name)
    const { attestation, appId, environment, launchCategory, bundleVersion } = capture
    const parsed = appleAppAttest.parse(evidenceOf({ attestation }))
    const verified = parsed.verify(anchors, expectedOf(capture))
    expect(verified.claims).toMatchObject({ environment, launchCategory, bundleVersion, counter: 0 })
    expect(verified.appraise({}, [{ appId }]).map(({ value }) => value)).toEqual(values)
    expect(() => parsed.verify(anchors, { ...expectedOf(capture), binding: Buffer.alloc(32) })).toThrow(
      refused('apple-app-attest.nonce'),
    )
    expect(() => parsed.verify(anchors, { ...expectedOf(capture), now: Date.UTC(2026, 10, 29) })).toThrow(
      refused('apple-app-attest.path.validity'),
    )
  })

  test('are followed by an assertion of the same key, once', () => {
    const capture = readCapture('ios-14.4')
    const { attestation, assertion = '' } = capture
    const { attester } = appleAppAttest.parse(evidenceOf({ attestation })).verify(anchors, expectedOf(capture))
    const { binding, now } = expectedOf(capture)
    const parsed = appleAppAttest.parse(evidenceOf({ assertion }))
    const later = parsed.verify(anchors, knownAppAttest(attester, { binding, now }))
    expect(later.claims).toMatchObject({ counter: 1 })
    expect(() => parsed.verify(anchors, knownAppAttest(later.attester, { binding, now }))).toThrow(
      refused('apple-app-attest.assertion_counter'),
    )
    expect(() => parsed.verify(anchors, knownAppAttest(attester, { now }))).toThrow(
      refused('apple-app-attest.signature'),
    )
  })
})
