import type { TrustworthinessTier } from '../../protocol/attestation/ear.ts'
import { malformedEvidence } from '../../protocol/attestation/evidence-format.ts'
import { none as formatNone } from '../../protocol/attestation/formats/none.ts'
import type { Json } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import { type ProfileName, profiles } from '../../runtime/profile.ts'
import { ServiceError } from '../errors.ts'

export interface AppraisalPolicy {
  id: string
  evidence: readonly string[]
  identityAlgorithms: readonly SignatureAlgorithm[]
}

export interface Appraisal {
  tier: TrustworthinessTier
  /** By format of evidence. */
  appraisals: Record<string, { tier: TrustworthinessTier; policyId: string }>
}

/** For fleets that only prove their keys: it admits, and never affirms anything. */
const none = { id: 'none', evidence: ['none'] } as const

export const builtInPolicyIds = [none.id] as const

/** Which identity keys may enrol is the profile's to say, whatever the policy. Throws `malformed` for one that does not exist. */
export function getPolicy(policyId: string, profile: ProfileName): AppraisalPolicy {
  if (policyId !== none.id)
    throw new ServiceError('malformed', `There is no policy ${policyId}.`, { field: 'policyId' })
  return { ...none, identityAlgorithms: profiles[profile].identity }
}

/** Throws `key_invalid`. */
export function requireIdentityAlgorithm({ identityAlgorithms }: AppraisalPolicy, alg: SignatureAlgorithm): void {
  if (identityAlgorithms.includes(alg)) return
  throw new ServiceError('key_invalid', `Identity keys here are of ${identityAlgorithms.join(', ')}, not ${alg}.`, {
    field: 'identityKey.alg',
  })
}

/** Untrusted evidence against a policy. Throws `malformed` for evidence that is not what the policy asks for. */
export function appraiseEvidence(policy: AppraisalPolicy, evidence: readonly Record<string, Json>[]): Appraisal {
  const [only, ...more] = evidence
  try {
    if (only === undefined || more.length > 0) throw malformedEvidence('There is not exactly one piece of evidence.')
    formatNone.parse(only)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const message = `Policy ${policy.id} takes exactly one piece of evidence, of format none.`
    throw new ServiceError('malformed', message, { field: 'evidence', cause: error })
  }
  return { tier: 'none', appraisals: { none: { tier: 'none', policyId: policy.id } } }
}
