import type { Tx } from '../../database/open.ts'
import { evidencePoliciesOf, type PolicyDocument, policyNone } from '../../protocol/attestation/policy.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import { type ProfileName, profiles } from '../../runtime/profile.ts'
import { ServiceError } from '../errors.ts'

export interface AppraisalPolicy {
  /** What a result names: of one version, which never changes. */
  id: string
  document: PolicyDocument
  identityAlgorithms: readonly SignatureAlgorithm[]
}

export const builtInPolicyIds = ['none'] as const

/**
 * The policy that `policyId` names. Which identity keys may enrol is the profile's to say, whatever the policy. Throws `malformed`
 * for one that does not exist.
 */
export async function getPolicy(_tx: Tx, policyId: string, profile: ProfileName): Promise<AppraisalPolicy> {
  if (policyId !== builtInPolicyIds[0])
    throw new ServiceError('malformed', `There is no policy ${policyId}.`, { field: 'policyId' })
  return { id: policyId, document: policyNone, identityAlgorithms: profiles[profile].identity }
}

/** What a device is told of a policy before it makes its evidence. */
export function toDevicePolicy({ document, identityAlgorithms }: AppraisalPolicy): {
  evidence: string[]
  identityAlgorithms: SignatureAlgorithm[]
} {
  return {
    evidence: evidencePoliciesOf(document).map(([format]) => format),
    identityAlgorithms: [...identityAlgorithms],
  }
}

/** Throws `key_invalid`. */
export function requireIdentityAlgorithm({ identityAlgorithms }: AppraisalPolicy, alg: SignatureAlgorithm): void {
  if (identityAlgorithms.includes(alg)) return
  throw new ServiceError('key_invalid', `Identity keys here are of ${identityAlgorithms.join(', ')}, not ${alg}.`, {
    field: 'identityKey.alg',
  })
}
