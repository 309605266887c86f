import type { TrustworthinessTier } from '../../protocol/attestation/ear.ts'
import type { PrincipalStatus } from '../../protocol/enrollment.ts'
import type { SessionState } from '../../protocol/exchange/session-states.ts'
import type { Database } from '../open.ts'

/** Who may be in a round, as it is stored: what decides it, and the sealed chain of one epoch. */
export interface RoundCandidate {
  deviceId: string
  isMember: boolean
  status: PrincipalStatus | undefined
  /** In a row, since it attested last. */
  attestationsMissed: number
  /** Whatever the newest result says. */
  isAttestationRequired: boolean
  /** The one that the principal names as its active one. */
  session: CandidateSession | undefined
  /** The newest for the identity key that it has now. */
  attestation: CandidateAttestation | undefined
}

export interface CandidateSession {
  id: string
  state: SessionState
  bucket: number
  createdAt: number
  expiresAt: number
  supersededAt: number | undefined
  /** Of the epoch asked for, or of the session's first one where that is still to come; undefined where it has none of it. */
  sealedChain: Uint8Array | undefined
}

export interface CandidateAttestation {
  id: string
  kid: string
  /** That its evidence was bound to; undefined for an enrolment or a new identity key. */
  sessionId: string | undefined
  tier: TrustworthinessTier
  appraisedAt: number
}

/** Which chains are wanted: `length` bytes at `(epoch − bucket) × length`. `now`: milliseconds since the Unix epoch. */
export interface ChainsAt {
  epoch: number
  length: number
  now: number
}

/**
 * One look-up for a whole round, in the order of their ids: of these devices; or of every member and, so that a coordinator learns
 * what became of them, of whoever a key of the round was given out for before. At most `limit` of them.
 */
export async function listRoundCandidates(
  database: Database,
  organizationId: string,
  wanted: { federationId: string; round: number; deviceIds: readonly string[] | undefined; limit: number },
  chains: ChainsAt,
): Promise<RoundCandidate[]> {
  const { federationId, round, deviceIds, limit } = wanted
  const [, found] = await database.sendTransaction({ organizationId }, [
    deviceIds === undefined
      ? {
          name: 'list_round_candidates',
          text: selectCandidates(
            `select device_id from federation_member where organization_id = current_organization() and federation_id = $1
              union select device_id from round_participant
                where organization_id = current_organization() and federation_id = $1 and round = $4
              order by device_id limit $5`,
          ),
          values: [federationId, chains.epoch, chains.length, round, limit],
        }
      : {
          name: 'list_named_round_candidates',
          text: selectCandidates('select unnest($4::uuid[]) as device_id order by device_id limit $5'),
          values: [federationId, chains.epoch, chains.length, deviceIds, limit],
        },
  ])
  return ((found?.rows ?? []) as CandidateRow[]).map(toCandidate)
}

/** The coordinator itself, looked at in the same way: whether it is assigned, in the place of whether it is a member. */
export async function findCoordinatorCandidate(
  database: Database,
  organizationId: string,
  coordinatorId: string,
  federationId: string,
  chains: ChainsAt,
): Promise<RoundCandidate | undefined> {
  const text = selectCandidates('select $4::uuid as device_id', 'federation_coordinator', 'coordinator_id')
  const values = [federationId, chains.epoch, chains.length, coordinatorId]
  const [, found] = await database.sendTransaction({ organizationId }, [{ name: 'find_coordinator', text, values }])
  const row = found?.rows[0] as CandidateRow | undefined
  return row && toCandidate(row)
}

/**
 * $1 federation, $2 epoch, $3 length of a chain. Each table is looked up by its key for each device, which the limits say to the
 * planner: without statistics, of members who were all added just now, it would join every row with every other.
 */
function selectCandidates(asked: string, belonging = 'federation_member', column = 'device_id'): string {
  return `with asked as materialized (${asked})
    select a.device_id, m.is_member is not null as is_member, p.status, p.attestations_missed,
      p.attestation_required_since is not null as is_attestation_required,
      s.id as session_id, s.state, s.bucket, s.created_at, s.expires_at, s.superseded_at, s.sealed_chain,
      r.id as attestation_id, r.kid, r.session_id as attested_session_id, r.tier, r.appraised_at
    from asked a
    left join lateral (select true as is_member from ${belonging}
      where organization_id = current_organization() and federation_id = $1 and ${column} = a.device_id limit 1) m on true
    left join lateral (select id, status, active_session_id, attestations_missed, attestation_required_since from principal
      where m.is_member and organization_id = current_organization() and id = a.device_id limit 1) p on true
    left join lateral (select id, state, bucket, created_at, expires_at, superseded_at,
        case when greatest($2::bigint, bucket) <= last_epoch then substring(chains
          from (1 + $3::int * (greatest($2::bigint, bucket) - bucket))::int for $3::int) end as sealed_chain
      from session where organization_id = current_organization() and principal_id = p.id and id = p.active_session_id
      limit 1) s on true
    left join lateral (select kid from identity_key
      where organization_id = current_organization() and principal_id = p.id and status = 'ACTIVE' limit 1) k on true
    left join lateral (
      (select id, kid, session_id, tier, appraised_at from attestation_result
        where organization_id = current_organization() and principal_id = p.id and kid = k.kid
        order by attestation_result.id desc limit 1)
      union all
      (select id, kid, session_id, tier, appraised_at from kept_attestation_result
        where organization_id = current_organization() and principal_id = p.id and kid = k.kid
        order by kept_attestation_result.id desc limit 1)
      order by id desc limit 1) r on true
    order by a.device_id`
}

interface CandidateRow {
  device_id: string
  is_member: boolean
  status: PrincipalStatus | null
  attestations_missed: number | null
  is_attestation_required: boolean
  session_id: string | null
  state: SessionState
  bucket: number
  created_at: number
  expires_at: number
  superseded_at: number | null
  sealed_chain: Uint8Array | null
  attestation_id: string | null
  kid: string
  attested_session_id: string | null
  tier: TrustworthinessTier
  appraised_at: number
}

function toCandidate(row: CandidateRow): RoundCandidate {
  return {
    deviceId: row.device_id,
    isMember: row.is_member,
    status: row.status ?? undefined,
    attestationsMissed: row.attestations_missed ?? 0,
    isAttestationRequired: row.is_attestation_required,
    session:
      row.session_id === null
        ? undefined
        : {
            id: row.session_id,
            state: row.state,
            bucket: row.bucket,
            createdAt: row.created_at,
            expiresAt: row.expires_at,
            supersededAt: row.superseded_at ?? undefined,
            sealedChain: row.sealed_chain ?? undefined,
          },
    attestation:
      row.attestation_id === null
        ? undefined
        : {
            id: row.attestation_id,
            kid: row.kid,
            sessionId: row.attested_session_id ?? undefined,
            tier: row.tier,
            appraisedAt: row.appraised_at,
          },
  }
}
