import type { ColumnType, Generated } from 'kysely'
import type { ApiRole } from '../protocol/api-roles.ts'
import type { PrincipalKind, PrincipalStatus } from '../protocol/enrollment.ts'
import type { SessionState } from '../protocol/exchange/session-states.ts'
import type { RoundState } from '../protocol/rounds/messages.ts'
import type { SignatureAlgorithm, Suite } from '../protocol/suites.ts'
import type { TrustKey, UnsignedTrustBundle, WireTrustBundle } from '../protocol/trust.ts'
import type { AttestationTables } from './attestation-tables.ts'
import type { Bytes, Jsonb, NullableBytes, NullableTimestamp, Timestamp } from './column-types.ts'
import type { IncidentTables } from './incident-tables.ts'

export type TemporalKeyKind = 'epoch' | 'bucket'
export type Metadata = Record<string, string | number | boolean>

export interface Tables extends AttestationTables, IncidentTables {
  organization: { id: string; name: string; created_at: Timestamp }
  directory: { id: string; organization_id: string }
  api_token: {
    organization_id: string
    id: string
    name: string
    roles: ApiRole[]
    service_admin: Generated<boolean>
    secret_hash: Bytes
    created_at: Timestamp
    expires_at: NullableTimestamp
    revoked_at: NullableTimestamp
    end_told_at: NullableTimestamp
  }
  kek_version: {
    purpose: number
    version: number
    sealed: NullableBytes
    status: 'ACTIVE' | 'RETIRED' | 'DESTROYED'
    created_at: Timestamp
    due_at: NullableTimestamp
    retired_at: NullableTimestamp
    destroyed_at: NullableTimestamp
    uses: number | null
  }
  signing_key: {
    kid: string
    key_use: TrustKey['use']
    alg: SignatureAlgorithm
    public_key: Bytes
    sealed_seed: NullableBytes
    status: 'PUBLISHED' | 'ACTIVE' | 'RETIRED'
    not_before: Timestamp
    not_after: Timestamp
    published_at: Timestamp
    activated_at: NullableTimestamp
    retired_at: NullableTimestamp
  }
  trust_bundle: { sequence: number; body: Jsonb<WireTrustBundle>; created_at: Timestamp }
  trust_bundle_draft: {
    sequence: number
    body: Jsonb<UnsignedTrustBundle>
    sign_before: NullableTimestamp
    created_at: Timestamp
    told_at: NullableTimestamp
  }
  temporal_key: {
    kind: TemporalKeyKind
    number: number
    generation: number
    record_hash: Bytes
    key_version: number | null
    made_at: Timestamp
    destroyed_at: NullableTimestamp
    /** Of an epoch: sessions that held a chain under it, when they were counted last. */
    sessions: Generated<number | null>
    counted_at: ColumnType<number | null, never, Date>
  }
  bucket_certificate: {
    suite: Suite
    bucket: number
    generation: number
    kid: string
    public_key: Bytes
    signature: Bytes
  }
  principal: {
    organization_id: string
    id: string
    kind: PrincipalKind
    name: string
    type: string | null
    /** Sorted. */
    capabilities: Generated<string[]>
    status: PrincipalStatus
    spiffe_id: string
    metadata: Jsonb<Metadata>
    active_session_id: string | null
    pending_session_ids: Generated<string[]>
    key_generation: Generated<number>
    policy_id: Generated<string>
    next_attestation_at: NullableTimestamp
    attestations_missed: Generated<number>
    slowed_until: NullableTimestamp
    attestation_required_since: NullableTimestamp
    created_at: Timestamp
    last_seen_at: NullableTimestamp
    revoked_at: NullableTimestamp
  }
  identity_key: {
    organization_id: string
    kid: string
    principal_id: string
    alg: SignatureAlgorithm
    public_key: Bytes
    status: 'ACTIVE' | 'REPLACED' | 'REVOKED'
    replaced_by: string | null
    mac: Bytes
    mac_key_version: number
    mac_mismatched_at: NullableTimestamp
    created_at: Timestamp
    rotation_due_since: NullableTimestamp
  }
  enrollment_token: {
    organization_id: string
    id: string
    kind: PrincipalKind
    name: string | null
    type: string | null
    capabilities: Generated<string[]>
    policy_id: string
    secret_hash: Bytes
    created_at: Timestamp
    expires_at: Timestamp
    used_at: NullableTimestamp
    revoked_at: NullableTimestamp
    principal_id: string | null
  }
  challenge: {
    organization_id: string
    id: string
    purpose: 'enroll'
    sealed_challenge: Bytes
    trust_sequence: number
    expires_at: Timestamp
    consumed_at: NullableTimestamp
    completion_hash: NullableBytes
    mismatched_at: NullableTimestamp
    credential_at: NullableTimestamp
    sealed_activation: NullableBytes
    principal_id: string | null
  }
  rotation_challenge: {
    organization_id: string
    principal_id: string
    id: string
    old_kid: string
    sealed_challenge: Bytes
    expires_at: Timestamp
    consumed_at: NullableTimestamp
    completion_hash: NullableBytes
    mismatched_at: NullableTimestamp
    attestation_result_id: string | null
  }
  session: {
    organization_id: string
    id: string
    principal_id: string
    state: SessionState
    suite: Suite
    bucket: number
    last_epoch: number
    created_at: Timestamp
    expires_at: Timestamp
    confirmed_at: NullableTimestamp
    superseded_at: NullableTimestamp
    ended_at: NullableTimestamp
    chains: NullableBytes
    confirmation_hash: NullableBytes
    token_epoch: number | null
    token_nonces: Generated<Uint8Array[]>
  }
  federation: {
    organization_id: string
    id: string
    name: string
    policy: string
    created_by: string
    created_at: Timestamp
    last_round: Generated<number>
  }
  federation_member: { organization_id: string; federation_id: string; device_id: string; added_at: Timestamp }
  federation_coordinator: {
    organization_id: string
    federation_id: string
    coordinator_id: string
    added_at: Timestamp
  }
  round: {
    organization_id: string
    federation_id: string
    round: number
    state: RoundState
    min_participants: number
    opened_at: Timestamp
    closed_at: NullableTimestamp
    closing_hash: NullableBytes
    aggregate_hash: string | null
    certificate: string | null
    signature: NullableBytes
    signature_kid: string | null
    trust_sequence: number | null
    event_id: string | null
    event: string | null
  }
  round_participant: {
    organization_id: string
    federation_id: string
    round: number
    device_id: string
    session_id: string
    epoch: number
    commitment: string
    kid: string
    tier: 'none' | 'affirming' | 'warning'
    attestation_id: string
    given_at: Timestamp
    gone_at: NullableTimestamp
  }
  revocation_feed: { organization_id: string; last_sequence: number }
  revocation: {
    organization_id: string
    sequence: number
    principal_id: string
    status: PrincipalStatus
    changed_at: Timestamp
  }
  audit_outbox: { seq: Generated<number>; organization_id: string; event_id: string; entry: string }
  audit_log_state: {
    is_only: Generated<boolean>
    size: number
    epoch: number
    published_id: number | null
    published_size: number
    partition_entries: number
  }
  audit_entry: {
    index: number
    organization_id: string
    event_id: string
    at: Timestamp
    type: string
    severity: string
    actor_id: string | null
    device_id: string | null
    entry: string
  }
  audit_event_id: { organization_id: string; event_id: string; index: number }
  audit_tile: { level: number; first_index: number; hashes: Bytes }
  audit_checkpoint: { id: Generated<number>; size: number; root: Bytes; signed_at: Timestamp; note: string }
  audit_cosignature: { checkpoint_id: number; witness: string; line: string; received_at: Timestamp }
  audit_partition: {
    first_index: number
    end_index: number
    oldest_at: NullableTimestamp
    newest_at: NullableTimestamp
    removed_at: NullableTimestamp
  }
}
