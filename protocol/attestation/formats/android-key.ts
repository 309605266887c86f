import { z } from 'zod'
import type { Json } from '../../encoding.ts'
import { bytesWithin } from '../../wire.ts'
import { defineEvidenceFormat, malformedEvidence } from '../evidence-format.ts'
import { MAX_CERTIFICATE_BYTES } from '../x509/parse-certificate.ts'
import { appraiseAndroidKey } from './android-key/appraise.ts'
import { type AttestedChain, parseChain } from './android-key/attested-key.ts'
import { androidKeyReference, androidKeyRules } from './android-key/rules.ts'
import { androidStatusListId } from './android-key/status-list.ts'
import { type AndroidKeyEvidence, verifyAndroidKey } from './android-key/verify.ts'

const MIN_CHAIN = 2
const MAX_CHAIN = 10

/** Counted before anything in it is looked at. */
const chain = z
  .array(z.unknown())
  .min(MIN_CHAIN)
  .max(MAX_CHAIN)
  .pipe(z.array(bytesWithin(1, MAX_CERTIFICATE_BYTES)))
const evidenceAndroidKey = z.strictObject({
  format: z.literal('android-key'),
  chain,
  identityChain: chain.optional(),
})

/**
 * Key attestation of Android: a phone makes a key in its hardware, whose certificate says which app asked for it and what the phone
 * runs. docs/attestation-formats.md says what each check is.
 */
export const androidKey = defineEvidenceFormat({
  name: 'android-key',
  rules: androidKeyRules,
  referenceValue: androidKeyReference,
  parseEvidence(evidence: Record<string, Json>): AndroidKeyEvidence {
    const { data } = evidenceAndroidKey.safeParse(evidence)
    if (data === undefined) {
      throw malformedEvidence(
        `A chain has ${MIN_CHAIN} to ${MAX_CHAIN} certificates of at most ${MAX_CERTIFICATE_BYTES} bytes.`,
      )
    }
    return { fresh: parseChain(data.chain), identity: data.identityChain && parseChain(data.identityChain) }
  },
  trustAnchorIds: ({ fresh, identity }) => [
    ...new Set([...issuersOf(fresh), ...(identity ? issuersOf(identity) : [])]),
  ],
  collateralIds: () => [androidStatusListId],
  extractClaims: verifyAndroidKey,
  attesterOf: ({ attester }) => attester,
  claimsToJson: ({ said }) => said,
  appraise: ({ said }, references, rules) => appraiseAndroidKey(said, references, rules),
})

function issuersOf({ leaf, above }: AttestedChain): string[] {
  return [leaf, ...above].map(({ issuerId }) => issuerId)
}
