import type { Database } from '../../database/open.ts'
import { findRound, findRoundEnd } from '../../database/repositories/rounds.ts'
import type { Json } from '../../protocol/encoding.ts'
import type { WireTrustBundle } from '../../protocol/trust.ts'
import { hasRole, type Operator, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import type { AuditLog } from './audit-log.ts'
import { type SignedRound, toSignedRound } from './close-round.ts'
import type { RoundName } from './derive-round-keys.ts'
import { getFederation } from './federation-access.ts'
import type { PublishedKeys } from './published-keys.ts'
import { noRound } from './rounds.ts'

/** All that is needed to check a round offline (docs/protocol.md §5). */
export interface ProvenRound extends SignedRound {
  event: Record<string, Json>
  /** Undefined until a published checkpoint covers the event. */
  proof: string | undefined
  trust: WireTrustBundle[]
}

export type GetRoundCertificate = (caller: Operator | SessionCaller, name: RoundName) => Promise<ProvenRound>

/** The certificate of a round that has ended, with what vouches for it by now; auditors see every round. Throws `not_found`, `round_state`. */
export function createGetRoundCertificate(parts: {
  database: Database
  auditLog: Pick<AuditLog, 'findProof'>
  publishedKeys: Pick<PublishedKeys, 'listTrust'>
}): GetRoundCertificate {
  return async (caller, { federationId, round }) => {
    const { organizationId } = caller
    const ended = await parts.database.withOrganization(organizationId, async (tx) => {
      if (!hasRole(caller, 'auditor')) await getFederation(tx, caller, federationId)
      const found = await findRoundEnd(tx, federationId, round)
      if (found !== undefined) return found
      if ((await findRound(tx, federationId, round)) === undefined) throw noRound()
      throw new ServiceError('round_state', 'The round is OPEN: its certificate is made when it is closed.')
    })
    return {
      ...toSignedRound(ended),
      event: JSON.parse(ended.event) as Record<string, Json>,
      proof: await parts.auditLog.findProof(organizationId, ended.eventId),
      trust: await parts.publishedKeys.listTrust(ended.trustSequence - 1),
    }
  }
}
