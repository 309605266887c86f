import { timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { bytesWithin } from '../../wire.ts'
import type { CoseSign1 } from '../cbor/cose-signature.ts'
import {
  type Attester,
  defineEvidenceFormat,
  type ExpectedEvidence,
  malformedEvidence,
  refusedEvidence,
  type TrustAnchor,
} from '../evidence-format.ts'
import { appraiseClaims, psaReference, psaRules } from './psa/appraise-claims.ts'
import { type PsaClaims, parseClaims } from './psa/claims.ts'
import { parseCoseSign1, verifyCoseSign1 } from './psa/cose-sign1.ts'

const MAX_TOKEN_BYTES = 8192

const evidencePsa = z.strictObject({ format: z.literal('psa'), token: bytesWithin(1, MAX_TOKEN_BYTES) })

/** What is remembered of a device between two tokens. */
const psaState = z.object({ implementationId: z.string(), bootSeed: z.string().nullable() })

/** A token that could be read. Nothing of it is verified. */
interface PsaEvidence {
  cose: CoseSign1
  claims: PsaClaims
}

type VerifiedClaims = PsaClaims & {
  /** Since the last token of this device; null where nobody can tell. */
  rebooted: boolean | null
}

/**
 * The PSA attestation token of Arm's Platform Security Architecture: EAT in COSE_Sign1, under the profile of RFC 9783 and the two before
 * it. docs/attestation-formats.md says what each check is.
 */
export const psa = defineEvidenceFormat({
  name: 'psa',
  rules: psaRules,
  referenceValue: psaReference,
  parseEvidence(evidence): PsaEvidence {
    const { data } = evidencePsa.safeParse(evidence)
    if (data === undefined)
      throw malformedEvidence(`A token has at most ${MAX_TOKEN_BYTES} bytes, and nothing beside it.`)
    const cose = parseCoseSign1(data.token)
    return { cose, claims: parseClaims(cose.payload) }
  },
  trustAnchorIds: ({ claims }) => [attesterId(claims)],
  extractClaims,
  attesterOf: ({ implementationId, bootSeed, ...claims }): Attester => ({
    id: attesterId(claims),
    state: { implementationId, bootSeed },
  }),
  claimsToJson: (claims) => claims,
  appraise: appraiseClaims,
})

/** As a trust anchor is looked up, too. */
function attesterId({ instanceId }: Pick<PsaClaims, 'instanceId'>): string {
  return `psa:${instanceId}`
}

function extractClaims(
  { cose, claims }: PsaEvidence,
  anchors: readonly TrustAnchor[],
  { binding, attester }: ExpectedEvidence,
): VerifiedClaims {
  const id = attesterId(claims)
  const keys = anchors.filter(({ lookupId, kind }) => lookupId === id && kind === 'key').map(({ der }) => der)
  if (keys.length === 0) throw refusedEvidence('psa.anchor', `No key is known of instance ${claims.instanceId}.`)
  verifyCoseSign1(cose, keys)
  const nonce = Buffer.from(claims.nonce, 'hex')
  if (nonce.length !== binding.length || !timingSafeEqual(nonce, binding)) {
    throw refusedEvidence('psa.nonce', 'The nonce is another one than the token was asked for with.')
  }
  if (attester.kind === 'enrolling') return { ...claims, rebooted: null }
  if (attester.id !== id) throw refusedEvidence('psa.attester', 'The token is one of another device.')
  const { implementationId, bootSeed } = psaState.parse(attester.state)
  if (implementationId !== claims.implementationId) {
    throw refusedEvidence('psa.attester_implementation', 'The device had another implementation before.')
  }
  return { ...claims, rebooted: bootSeed === null || claims.bootSeed === null ? null : bootSeed !== claims.bootSeed }
}
