import type { AttestingParty } from '../../database/repositories/reattestations.ts'
import { parsePolicyId } from '../../protocol/attestation/policy-id.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import type { SessionCaller } from '../caller.ts'
import { type AppraisalPolicy, builtInPolicy, noSuchPolicy, toAppraisalPolicy, toGenuinePolicy } from './policies.ts'

/**
 * Whether the caller is, by what was read, in the ACTIVE session of a device that may attest. Time ends a session no earlier than the
 * tokens for it; whatever else ends one takes it out of the principal's row.
 */
export function isInActiveSession({ principal }: AttestingParty, caller: SessionCaller, now: number): boolean {
  return principal.status === 'ACTIVE' && principal.activeSessionId === caller.sessionId && now < caller.expiresAt
}

/** As `getPolicy` of policies.ts, of what was read. Throws SealError for one that somebody changed. */
export async function policyOf(
  parts: { keyring: Keyring; profile: ProfileName },
  { principal, policy }: AttestingParty,
): Promise<AppraisalPolicy> {
  const builtIn = builtInPolicy(parts.profile, principal.policyId)
  if (builtIn !== undefined) return builtIn
  const named = parsePolicyId(principal.policyId)
  const isNamed = policy?.name === named?.name && [undefined, policy?.version].includes(named?.version)
  if (policy === undefined || !isNamed) throw noSuchPolicy(principal.policyId)
  return toAppraisalPolicy(parts.profile, await toGenuinePolicy(parts.keyring, policy))
}
