import type { ExpectedEvidence, TrustAnchor, VerifiedEvidence } from '../../../protocol/attestation/evidence-format.ts'
import { androidKey } from '../../../protocol/attestation/formats/android-key.ts'
import { androidEvidence, androidRoot, type ChainChanges, enrollingAndroid, makeChain } from './evidence.ts'
import type { DescriptionChanges } from './key-description.ts'

export interface ChainOptions {
  anchors?: TrustAnchor[]
  expected?: ExpectedEvidence
  identityChain?: Buffer[]
}

/** A chain with these changes, as far as it is taken. */
export function verifyChain(changes: ChainChanges = {}, options: ChainOptions = {}): VerifiedEvidence {
  const { anchors = [androidRoot()], expected = enrollingAndroid, identityChain } = options
  return androidKey.parse(androidEvidence(makeChain(changes), identityChain)).verify(anchors, expected)
}

export const described = (description: DescriptionChanges): ChainChanges => ({ description })
