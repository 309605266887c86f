import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Every metric of the service. Labels never carry identifiers. */
export function createMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  return {
    registry,
    httpRequestSeconds: new Histogram({
      name: 'qflare_http_request_duration_seconds',
      help: 'Time from the request to the end of its answer',
      labelNames: ['route', 'method', 'status'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    }),
    exchanges: new Counter({
      name: 'qflare_exchanges_total',
      help: 'Exchanges by result: opened, established, or the code of the refusal',
      labelNames: ['result'],
      registers,
    }),
    exchangeSeconds: new Histogram({
      name: 'qflare_exchange_duration_seconds',
      help: 'Time of the steps of an exchange',
      labelNames: ['step'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
      registers,
    }),
    exchangeQueueDepth: new Gauge({
      name: 'qflare_crypto_queue_depth',
      help: 'Exchanges that wait for a core',
      registers,
    }),
    roundKeys: new Counter({
      name: 'qflare_round_keys_total',
      help: 'Round keys by result: given, or the code of the refusal',
      labelNames: ['result'],
      registers,
    }),
    attestations: new Counter({
      name: 'qflare_attestations_total',
      help: 'Pieces of evidence that were appraised, at an enrolment, a rotation or in a session, by format and what they were found to be',
      labelNames: ['format', 'tier'],
      registers,
    }),
    inputMacMismatches: new Counter({
      name: 'qflare_input_mac_mismatches_total',
      help: 'Trust anchors and reference values that an appraisal went on without because their MAC is wrong: somebody wrote to the database',
      labelNames: ['table'],
      registers,
    }),
    rateLimited: new Counter({
      name: 'qflare_rate_limited_total',
      help: 'Requests that were answered 429, by the limit: address, address_refused, api_token, device, device_slowed, organization',
      labelNames: ['limit'],
      registers,
    }),
    refusalsUntold: new Counter({
      name: 'qflare_refusals_untold_total',
      help: 'Refusals that no event of the audit log tells of: over the subjects of a minute (subjects), over the events of an organization (events), or because the database was away for too long (outage)',
      labelNames: ['why'],
      registers,
    }),
    foreignIdsAsked: new Counter({
      name: 'qflare_foreign_ids_asked_total',
      help: 'Times that somebody with good credentials asked for an id of another organization, and was told that there is nothing',
      registers,
    }),
    tlsCertificateExpiresSeconds: new Gauge({
      name: 'qflare_tls_certificate_expires_timestamp_seconds',
      help: 'When the certificate that the API shows expires, as Unix time; 0 without TLS',
      registers,
    }),
    temporalKeys: new Gauge({
      name: 'qflare_temporal_keys',
      help: 'Temporal keys that were made and not destroyed yet: epoch, bucket',
      labelNames: ['state'],
      registers,
    }),
    collateralEndsInSeconds: new Gauge({
      name: 'qflare_collateral_ends_in_seconds',
      help: 'Until the first collateral in use of all organizations ends that has not ended yet, by its kind',
      labelNames: ['kind'],
      registers,
    }),
    collateralOutOfDate: new Gauge({
      name: 'qflare_collateral_out_of_date',
      help: 'Collateral in use that has ended, by its kind',
      labelNames: ['kind'],
      registers,
    }),
    collateralAgeSeconds: new Gauge({
      name: 'qflare_collateral_age_seconds',
      help: 'Since the oldest collateral in use was issued, or fetched where it says no time, by its kind',
      labelNames: ['kind'],
      registers,
    }),
    incidentsOpen: new Gauge({
      name: 'qflare_incidents_open',
      help: 'Incidents of all organizations and of the service itself that nobody has acknowledged, by severity',
      labelNames: ['severity'],
      registers,
    }),
    monitorLagEntries: new Gauge({
      name: 'qflare_monitor_lag_entries',
      help: 'Published entries of the audit log that the security monitor has not read yet',
      registers,
    }),
    trustBundleDraftAgeSeconds: new Gauge({
      name: 'qflare_trust_bundle_draft_age_seconds',
      help: 'Since when a trust bundle waits for the root of trust, which is offline; 0 while none does',
      registers,
    }),
    jobs: new Counter({
      name: 'qflare_jobs_total',
      help: 'Runs of jobs by their result: completed, failed (it is tried again), dead (it is kept as failed), stopped, stalled',
      labelNames: ['queue', 'result'],
      registers,
    }),
    jobSeconds: new Histogram({
      name: 'qflare_job_duration_seconds',
      help: 'Time of the runs of jobs',
      labelNames: ['queue'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 1800, 7200],
      registers,
    }),
    incidentNotices: new Counter({
      name: 'qflare_incident_notices_total',
      help: 'Tries to tell the receiver of notices of an incident, by result: delivered, failed (it is tried again), given_up',
      labelNames: ['result'],
      registers,
    }),
    clockOffsetSeconds: new Gauge({
      name: 'qflare_clock_offset_seconds',
      help: 'What this process adds to its clock to have the database’s',
      registers,
    }),
    redisClockOffsetSeconds: new Gauge({
      name: 'qflare_redis_clock_offset_seconds',
      help: 'What is to be added to the clock of the queues’ Redis to have the database’s',
      registers,
    }),
    databaseConnections: new Gauge({
      name: 'qflare_db_pool_connections',
      help: 'Connections of the API’s pool',
      labelNames: ['state'],
      registers,
    }),
    auditMergeDelaySeconds: new Histogram({
      name: 'qflare_audit_merge_delay_seconds',
      help: 'Time from an event to the published checkpoint that covers it',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600],
      registers,
    }),
    auditOutboxDepth: new Gauge({
      name: 'qflare_audit_outbox_depth',
      help: 'Events that are not in the log yet; no more than 100,000 are counted',
      registers,
    }),
    auditLogSize: new Gauge({
      name: 'qflare_audit_log_size',
      help: 'Entries of the audit log, as of its newest published checkpoint',
      registers,
    }),
    auditWitnessAlarms: new Gauge({
      name: 'qflare_audit_witness_alarms',
      help: 'Witnesses that say they hold another log under our name',
      registers,
    }),
    auditCheckpointAgeSeconds: new Gauge({
      name: 'qflare_audit_checkpoint_age_seconds',
      help: 'Age of the newest published checkpoint; an idle log signs one every minute',
      registers,
    }),
  }
}

export type Metrics = ReturnType<typeof createMetrics>
