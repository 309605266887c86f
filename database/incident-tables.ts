import type { Generated } from 'kysely'
import type { IncidentStatus } from '../protocol/monitor/incident.ts'
import type { IncidentNoticeType } from '../protocol/monitor/incident-notice.ts'
import type { IncidentSeverity, ResponseName } from '../protocol/monitor/rules.ts'
import type { NullableTimestamp, Timestamp } from './column-types.ts'

/** What the security monitor has read, and what it found. */
export interface IncidentTables {
  monitor_state: { is_only: Generated<boolean>; next_index: number }
  monitor_position: { organization_id: string; next_index: number }
  monitor_settings: { organization_id: string; body: string; changed_at: Timestamp }
  monitor_signal: {
    organization_id: string
    rule: string
    subject: string
    index: number
    event_id: string
    at: Timestamp
    count: number
    device_id: string | null
  }
  incident: {
    organization_id: string
    id: string
    rule: string
    subject: string
    severity: IncidentSeverity
    status: Generated<IncidentStatus>
    opened_at: Timestamp
    last_at: Timestamp
    count: number
    devices: number
    acknowledged_at: NullableTimestamp
    acknowledged_by: string | null
    resolved_by: string | null
    resolved_at: NullableTimestamp
  }
  incident_event: { organization_id: string; incident_id: string; index: number; event_id: string; at: Timestamp }
  incident_device: {
    organization_id: string
    incident_id: string
    device_id: string
    response: Exclude<ResponseName, 'none'> | null
    responded_at: NullableTimestamp
    withheld: 'dry_run' | 'limit' | null
  }
  device_network: { organization_id: string; device_id: string; network: string; seen_at: Timestamp }
  exchange_rate: {
    organization_id: string
    device_id: string
    hour: number
    count: number
    mean: number
    variance: number
    hours: number
    is_told: boolean
  }
  key_use: { organization_id: string; device_id: string; uses: number; is_told: boolean }
  incident_notice: {
    organization_id: string
    id: string
    incident_id: string
    type: IncidentNoticeType
    body: string
    created_at: Timestamp
    attempts: Generated<number>
    next_attempt_at: Timestamp
  }
  threat_score: { organization_id: string; device_id: string; score: number; scored_at: Timestamp }
}
