import type { Database } from '../../database/open.ts'
import type { Federation } from '../../database/repositories/federations.ts'
import {
  type CandidateAttestation,
  type CandidateSession,
  type ChainsAt,
  findCoordinatorCandidate,
  type RoundCandidate,
} from '../../database/repositories/round-candidates.ts'
import { sessionStateAt } from '../../protocol/exchange/session-states.ts'
import {
  type AdmittedTier,
  type FederationPolicyName,
  findAdmittedTier,
} from '../../protocol/rounds/federation-policies.ts'
import type { RoundRefusal } from '../../protocol/rounds/messages.ts'
import type { SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { getFederation, noFederation } from './federation-access.ts'

/** Who may be in a round at a time, but for the chain, which has still to open. */
export interface Admitted {
  session: CandidateSession
  attestation: CandidateAttestation & { tier: AdmittedTier }
}

/** The first reason against it, or what it is admitted with. `now`: milliseconds since the Unix epoch. */
export function admitToRound(
  candidate: RoundCandidate,
  policy: FederationPolicyName,
  now: number,
): Admitted | Exclude<RoundRefusal, 'epoch_unavailable'> {
  const { isMember, status, session, attestation } = candidate
  if (!isMember) return 'not_member'
  if (status !== 'ACTIVE') return 'not_active'
  if (session === undefined || sessionStateAt(session, now) !== 'ACTIVE') return 'no_session'
  const tier = attestation && findAdmittedTier(policy, attestation, session, now)
  if (attestation === undefined || tier === undefined) return 'attestation_required'
  return { session, attestation: { ...attestation, tier } }
}

/**
 * The federation, and the coordinator with the sealed chain of its own session: assigned, in the session with which it asks, and
 * attested as the policy demands. Throws `not_found`, `session_state`, `attestation_required`.
 */
export async function admitCoordinator(
  database: Database,
  caller: SessionCaller,
  federationId: string,
  chains: ChainsAt,
): Promise<{ federation: Federation; session: CandidateSession }> {
  const { organizationId } = caller
  const federation = await database.withOrganization(organizationId, (tx) => getFederation(tx, caller, federationId))
  const candidate = await findCoordinatorCandidate(database, organizationId, caller.id, federationId, chains)
  const admitted = candidate === undefined ? 'not_member' : admitToRound(candidate, federation.policy, chains.now)
  if (admitted === 'not_member') throw noFederation()
  if (admitted === 'attestation_required') {
    throw new ServiceError('attestation_required', 'The policy of the federation asks more of its coordinators.')
  }
  if (typeof admitted === 'string' || admitted.session.id !== caller.sessionId) {
    throw new ServiceError('session_state', 'The session is not the ACTIVE one of its coordinator; use the newer one.')
  }
  return { federation, session: admitted.session }
}
