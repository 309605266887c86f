import { randomBytes, randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import { newId } from '../../runtime/ids.ts'

export type Row = Record<string, unknown>

/** The day of every session in here. */
export const SESSION_DAY = '2031-05-06'
const at = new Date(`${SESSION_DAY}T12:00:00Z`)
/** Of the next row of the audit log. */
let nextIndex = 0

/** Session ids begin with a time, which chooses the partition. */
export function makeSessionId(): string {
  const hex = `${at.getTime().toString(16).padStart(12, '0')}8${randomBytes(10).toString('hex').slice(1)}`
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5')
}

/**
 * One row of every tenant table, of one organization, with new ids each time; in an order that the foreign keys allow. A new
 * tenant table needs a row here: without one the tests of row-level security fail.
 */
export function makeTenantRows(organizationId: string): Record<string, Row> {
  const organization_id = organizationId
  const principal_id = randomUUID()
  const tokenId = randomUUID()
  // Their time chooses the partition.
  const [evidence_id, attestation_id] = [newId(), newId()]
  const kid = randomBytes(32).toString('base64url')
  const event_id = randomUUID()
  const index = nextIndex++
  const federation_id = randomUUID()
  const round = { organization_id, federation_id, round: 1 }
  const session_id = makeSessionId()
  const [collateral_id, incident_id] = [randomUUID(), randomUUID()]
  const attestation_result = {
    organization_id,
    id: attestation_id,
    principal_id,
    evidence_id,
    kid,
    policy_id: 'none',
    tier: 'none',
    ear: 'an.ear.signed',
    appraised_at: at,
    expires_at: at,
  }
  return {
    organization: { id: organizationId, name: `organization ${organizationId}`, created_at: at },
    api_token: {
      organization_id,
      id: randomUUID(),
      name: 'a token',
      roles: ['admin'],
      secret_hash: randomBytes(32),
      created_at: at,
    },
    principal: {
      organization_id,
      id: principal_id,
      kind: 'device',
      name: 'a device',
      type: 'camera',
      capabilities: ['cuda', 'tpm'],
      status: 'ACTIVE',
      spiffe_id: `spiffe://test.example/device/${principal_id}`,
      metadata: '{}',
      created_at: at,
    },
    identity_key: {
      organization_id,
      kid,
      principal_id,
      alg: 'ML-DSA-44',
      public_key: randomBytes(1312),
      status: 'ACTIVE',
      mac: randomBytes(32),
      mac_key_version: 1,
      created_at: at,
    },
    enrollment_token: {
      organization_id,
      id: tokenId,
      kind: 'device',
      type: 'camera',
      capabilities: ['cuda', 'tpm'],
      policy_id: 'none',
      secret_hash: randomBytes(32),
      created_at: at,
      expires_at: at,
      used_at: at,
      principal_id,
    },
    challenge: {
      organization_id,
      id: tokenId,
      purpose: 'enroll',
      sealed_challenge: randomBytes(67),
      trust_sequence: 1,
      expires_at: at,
      principal_id,
    },
    appraisal_policy: {
      organization_id,
      name: `policy-${tokenId}`,
      version: 1,
      body: '{}',
      mac: randomBytes(32),
      mac_key_version: 1,
      created_at: at,
    },
    trust_anchor: {
      organization_id,
      id: randomUUID(),
      format: 'tpm2',
      kind: 'root',
      lookup_id: `subject:${randomBytes(32).toString('hex')}`,
      der: randomBytes(99),
      name: 'an authority',
      mac: randomBytes(32),
      mac_key_version: 1,
      created_at: at,
    },
    collateral: {
      organization_id,
      id: collateral_id,
      kind: 'crl',
      lookup_id: `crl:${randomBytes(32).toString('hex')}`,
      name: 'a revocation list',
      issued_at: at,
      next_update_at: at,
      body: randomBytes(99),
      body_hash: randomBytes(32),
      mac: randomBytes(32),
      mac_key_version: 1,
      created_at: at,
    },
    collateral_alarm: { organization_id, collateral_id, stage: 'ending', told_at: at },
    reference_value: {
      organization_id,
      id: randomUUID(),
      format: 'tpm2',
      name: 'a release',
      body: '{}',
      body_hash: randomBytes(32),
      mac: randomBytes(32),
      mac_key_version: 1,
      created_at: at,
    },
    evidence: { organization_id, id: evidence_id, principal_id, body: '[]', received_at: at },
    attestation_result,
    kept_attestation_result: attestation_result,
    rotation_challenge: {
      organization_id,
      principal_id,
      id: randomUUID(),
      old_kid: kid,
      sealed_challenge: randomBytes(67),
      expires_at: at,
    },
    attestation_challenge: {
      organization_id,
      principal_id,
      id: randomUUID(),
      session_id,
      sealed_challenge: randomBytes(67),
      expires_at: at,
    },
    attester_state: {
      organization_id,
      principal_id,
      format: 'tpm2',
      attester_id: randomBytes(32).toString('hex'),
      state: '{}',
      mac: randomBytes(32),
      mac_key_version: 1,
      updated_at: at,
    },
    session: {
      organization_id,
      id: session_id,
      principal_id,
      state: 'PENDING',
      suite: 'ML-KEM-1024',
      bucket: 7,
      last_epoch: 7,
      created_at: at,
      expires_at: at,
      chains: randomBytes(99),
      confirmation_hash: randomBytes(32),
    },
    federation: {
      organization_id,
      id: federation_id,
      name: `federation ${federation_id}`,
      policy: 'development',
      created_by: tokenId,
      created_at: at,
    },
    federation_member: { organization_id, federation_id, device_id: principal_id, added_at: at },
    revocation_feed: { organization_id, last_sequence: 1 },
    revocation: { organization_id, sequence: 1, principal_id, status: 'REVOKED', changed_at: at },
    federation_coordinator: { organization_id, federation_id, coordinator_id: principal_id, added_at: at },
    round: { ...round, state: 'OPEN', min_participants: 1, opened_at: at },
    round_participant: {
      ...round,
      device_id: principal_id,
      session_id,
      epoch: 7,
      commitment: 'A'.repeat(43),
      kid,
      tier: 'none',
      attestation_id,
      given_at: at,
    },
    audit_outbox: { organization_id, event_id: randomUUID(), entry: '{}' },
    audit_entry: {
      organization_id,
      index,
      event_id,
      at,
      type: 'device.enrolled',
      severity: 'info',
      actor_id: tokenId,
      device_id: principal_id,
      entry: '{}',
    },
    audit_event_id: { organization_id, event_id, index },
    monitor_position: { organization_id, next_index: 7 },
    monitor_settings: { organization_id, body: '{}', changed_at: at },
    monitor_signal: {
      organization_id,
      rule: 'access-refused',
      subject: `device ${principal_id}`,
      index,
      event_id,
      at,
      count: 1,
      device_id: principal_id,
    },
    incident: {
      organization_id,
      id: incident_id,
      rule: 'access-refused',
      subject: `device ${principal_id}`,
      severity: 'warning',
      opened_at: at,
      last_at: at,
      count: 5,
    },
    incident_event: { organization_id, incident_id, index, event_id, at },
    incident_device: { organization_id, incident_id, device_id: principal_id, withheld: 'dry_run' },
    incident_notice: {
      organization_id,
      id: randomUUID(),
      incident_id,
      type: 'incident.opened',
      body: '{}',
      created_at: at,
      next_attempt_at: at,
    },
    threat_score: { organization_id, device_id: principal_id, score: 50, scored_at: at },
    device_network: { organization_id, device_id: principal_id, network: 'AAAAAAAAAAA', seen_at: at },
    key_use: { organization_id, device_id: principal_id, uses: 7, is_told: false },
    exchange_rate: {
      organization_id,
      device_id: principal_id,
      hour: 7,
      count: 1,
      mean: 1,
      variance: 0,
      hours: 1,
      is_told: false,
    },
  }
}

/** `text` and `values` of an insert; `behind` goes after the values: a conflict clause, a returning. */
export function insertStatement(table: string, row: Row, behind = ''): { text: string; values: unknown[] } {
  const columns = Object.keys(row)
  const places = columns.map((_, i) => `$${i + 1}`)
  return {
    text: `insert into ${table} (${columns.join(', ')}) values (${places.join(', ')}) ${behind}`,
    values: Object.values(row),
  }
}

/** What the rows refer to outside the tenant tables; every entry of the log is taken for a published one. */
export async function prepareTenantRows(client: Client): Promise<void> {
  await client.query('select make_audit_partition(0)')
  await client.query('update audit_log_state set size = partition_entries, published_size = partition_entries')
  await client.query(`select make_session_partition('${SESSION_DAY}')`)
  await client.query(
    `insert into trust_bundle (sequence, body, created_at) values (1, '{}', now()) on conflict do nothing`,
  )
}

export async function insertTenantRows(client: Client, rows: Record<string, Row>): Promise<void> {
  for (const [table, row] of Object.entries(rows)) await client.query(insertStatement(table, row))
}
