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
  type FederationTerms,
  getFederationTerms,
  judgeResult,
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
  policy: FederationTerms,
  now: number,
): Admitted | Exclude<RoundRefusal, 'epoch_unavailable'> {
  const { isMember, status, session, attestation, attestationsMissed, isAttestationRequired } = candidate
  if (!isMember) return 'not_member'
  if (status === 'QUARANTINED') return 'quarantined'
  if (status !== 'ACTIVE') return 'not_active'
  if (session === undefined || sessionStateAt(session, now) !== 'ACTIVE') return 'no_session'
  if (attestation === undefined || isAttestationRequired) return 'attestation_required'
  const judged = judgeResult(policy, attestation, { sessionId: session.id, attestationsMissed }, now)
  return typeof judged === 'string' ? judged : { session, attestation: { ...attestation, ...judged } }
}

/** What the policy of the federation asks of its coordinators, too. */
const lacking = {
  attestation_required:
    'The coordinator has no attestation result for its identity key, or has to attest again for an incident.',
  attestation_overdue: 'The coordinator has missed two attestations in a row.',
  attestation_stale: 'The coordinator’s newest attestation is too old, or of another session: it has to attest again.',
  tier_refused: 'The policy of the federation asks more of its coordinators than what this one was found to be.',
} satisfies Partial<Record<RoundRefusal, string>>

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
  const admitted =
    candidate === undefined ? 'not_member' : admitToRound(candidate, getFederationTerms(federation.policy), chains.now)
  if (admitted === 'not_member') throw noFederation()
  if (typeof admitted === 'string' && admitted in lacking) {
    throw new ServiceError('attestation_required', lacking[admitted as keyof typeof lacking])
  }
  if (typeof admitted === 'string' || admitted.session.id !== caller.sessionId) {
    throw new ServiceError('session_state', 'The session is not the ACTIVE one of its coordinator; use the newer one.')
  }
  return { federation, session: admitted.session }
}
