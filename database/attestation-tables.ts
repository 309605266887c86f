import type { ColumnType, Generated, RawBuilder } from 'kysely'
import type { TrustworthinessTier } from '../protocol/attestation/ear.ts'
import type { CollateralKind, EvidenceFormatName, TrustAnchor } from '../protocol/attestation/evidence-format.ts'
import type { Bytes, NullableBytes, NullableTimestamp, Timestamp } from './column-types.ts'

/** What is known of attesters, and what evidence is held against. */
export interface AttestationTables {
  attestation_challenge: {
    organization_id: string
    principal_id: string
    id: string
    session_id: string
    sealed_challenge: Bytes
    expires_at: Timestamp
    consumed_at: NullableTimestamp
    completion_hash: NullableBytes
    mismatched_at: NullableTimestamp
    attestation_result_id: string | null
  }
  attester_state: {
    organization_id: string
    principal_id: string
    format: EvidenceFormatName
    attester_id: string
    /** Canonical JSON. */
    state: string
    mac: Bytes
    mac_key_version: number
    mac_mismatched_at: NullableTimestamp
    updated_at: Timestamp
    released_at: NullableTimestamp
  }
  evidence: {
    organization_id: string
    id: string
    principal_id: string
    body: string
    received_at: Timestamp
    binding: NullableBytes
    /** JSON. */
    attesters: string | null
  }
  attestation_result: {
    organization_id: string
    id: string
    principal_id: string
    evidence_id: string
    kid: string
    policy_id: string
    tier: TrustworthinessTier
    ear: string
    appraised_at: Timestamp
    expires_at: Timestamp
    /** JSON. */
    findings: Generated<string>
    session_id: string | null
  }
  /** Of partitions that were dropped, where somebody relies on it. */
  kept_attestation_result: AttestationTables['attestation_result']
  appraisal_policy: {
    organization_id: string
    name: string
    version: number
    /** Canonical JSON. */
    body: string
    mac: Bytes
    mac_key_version: number
    mac_mismatched_at: NullableTimestamp
    created_at: Timestamp
  }
  trust_anchor: {
    organization_id: string
    id: string
    format: EvidenceFormatName
    kind: TrustAnchor['kind']
    lookup_id: string
    der: Bytes
    name: string
    mac: Bytes
    mac_key_version: number
    mac_mismatched_at: NullableTimestamp
    created_at: Timestamp
    removed_at: NullableTimestamp
  }
  collateral: {
    organization_id: string
    id: string
    kind: CollateralKind
    lookup_id: string
    name: string
    issued_at: Timestamp
    next_update_at: NullableTimestamp
    /** Null where another row has it. */
    body: NullableBytes
    body_of: string | null
    body_hash: Bytes
    /** Written by an expression. */
    chain: ColumnType<Uint8Array[], RawBuilder<Uint8Array[]>, never>
    mac: Bytes
    mac_key_version: number
    mac_mismatched_at: NullableTimestamp
    created_at: Timestamp
    removed_at: NullableTimestamp
  }
  collateral_alarm: {
    organization_id: string
    collateral_id: string
    stage: 'ending' | 'ended'
    told_at: Timestamp
  }
  reference_value: {
    organization_id: string
    id: string
    format: EvidenceFormatName
    name: string
    /** Canonical JSON. */
    body: string
    body_hash: Bytes
    mac: Bytes
    mac_key_version: number
    mac_mismatched_at: NullableTimestamp
    created_at: Timestamp
    removed_at: NullableTimestamp
  }
}
