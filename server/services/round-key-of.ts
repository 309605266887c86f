import type { CandidateSession, RoundCandidate } from '../../database/repositories/round-candidates.ts'
import type { RoundGrant } from '../../database/repositories/round-participants.ts'
import { communicationKey, roundContext } from '../../protocol/exchange/epochs.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { FederationTerms } from '../../protocol/rounds/federation-policies.ts'
import type { RoundKey, RoundRefusal } from '../../protocol/rounds/messages.ts'
import { roundCommitment } from '../../protocol/rounds/round-certificate.ts'
import { admitToRound } from './admit-to-round.ts'
import { openChain } from './session-chains.ts'
import type { EpochKey } from './temporal-keys.ts'

/** For whom, by which rules, and with what the chains of a moment are opened. */
export interface KeyTerms {
  organizationId: string
  federationId: string
  round: number
  policy: FederationTerms
  /** Milliseconds since the Unix epoch, and the epoch of that time. */
  now: number
  epoch: number
  epochKeys: ReadonlyMap<number, EpochKey>
}

/** A device's key of a round, with what is written down of it, or why it gets none. The caller wipes the key. */
export function roundKeyOf(
  crypto: Primitives,
  terms: KeyTerms,
  candidate: RoundCandidate,
): { key: RoundKey; grant: RoundGrant } | RoundRefusal {
  const admitted = admitToRound(candidate, terms.policy, terms.now)
  if (typeof admitted === 'string') return admitted
  const { session, attestation } = admitted
  const epoch = epochOf(session, terms.epoch)
  const chain = openChainAt(crypto, terms, candidate.deviceId, session)
  if (chain === undefined) return 'epoch_unavailable'
  const { federationId, round } = terms
  const context = roundContext(federationId, round)
  const key = communicationKey(crypto, chain, { sessionId: session.id, epoch, purpose: 'round', context })
  chain.fill(0)
  const named = { deviceId: candidate.deviceId, sessionId: session.id, epoch }
  const commitment = roundCommitment(crypto, { ...named, federationId, round, key })
  const { kid, tier, id } = attestation
  return { key: { ...named, key }, grant: { ...named, commitment, kid, tier, attestationId: id } }
}

/** A session of the next bucket, used before its first epoch begins, uses that first epoch (docs/protocol.md §6). */
export function epochOf(session: { bucket: number }, epoch: number): number {
  return Math.max(epoch, session.bucket)
}

/** Undefined where the session ends before this epoch or is another's, or the epoch's key is gone. The caller wipes the chain. */
export function openChainAt(
  crypto: Primitives,
  terms: Pick<KeyTerms, 'organizationId' | 'epoch' | 'epochKeys'>,
  principalId: string,
  session: CandidateSession,
): Uint8Array | undefined {
  const epoch = epochOf(session, terms.epoch)
  const epochKey = terms.epochKeys.get(epoch)
  if (epochKey === undefined || session.sealedChain === undefined) return undefined
  const named = { organizationId: terms.organizationId, principalId, id: session.id }
  return openChain(crypto, named, epoch, session.sealedChain, epochKey)
}
