import {
  bundledAttester,
  type EvidenceBundle,
  parseEvidenceBundle,
  toWireBundle,
} from '../../protocol/attestation/evidence-bundle.ts'
import type {
  Collateral,
  EvidenceFormatName,
  ExpectedEvidence,
  TrustAnchor,
} from '../../protocol/attestation/evidence-format.ts'
import type { Json } from '../../protocol/encoding.ts'
import { native as crypto } from './protocol-providers.ts'

/** A bundle of one piece of evidence, as it comes out of the file that it was written to. */
export function bundleOf(
  { format, ...members }: Record<string, Json>,
  given: {
    anchors: readonly TrustAnchor[]
    expected: ExpectedEvidence
    collateral?: readonly Collateral[]
    referenceValues?: Record<string, readonly Json[]>
  },
): EvidenceBundle {
  const name = format as EvidenceFormatName
  const { anchors, expected, collateral = [], referenceValues = {} } = given
  const values = Object.entries(referenceValues).map(([set, members]) => ({ name: set, values: [...members] }))
  const wire = toWireBundle({
    v: 1,
    evidence: [{ format: name, ...members }],
    binding: expected.binding,
    at: expected.now,
    attesters: { [name]: bundledAttester(crypto, expected.attester) },
    identityKey: expected.identityKey,
    anchors: { [name]: [...anchors] },
    collateral: { [name]: collateral.map((one) => ({ ...one, chain: [...one.chain] })) },
    referenceValues: { [name]: values },
  })
  return parseEvidenceBundle(JSON.parse(JSON.stringify(wire)))
}
