import { Counter, collectDefaultMetrics, Gauge, type GaugeConfiguration, Histogram, Registry } from 'prom-client'

/**
 * Every metric of the service (docs/operations.md, "Metrics"). Labels never carry identifiers. What a process does not measure it does
 * not show: no gauge is 0 because nobody sets it.
 */
export function createMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const gauge = <T extends string>(configuration: GaugeConfiguration<T>): Gauge<T> => {
    const made = new Gauge(configuration)
    made.remove({})
    return made
  }
  return {
    registry,
    // The first that is asked: what is looked up for those below takes connections.
    databaseConnections: gauge({
      name: 'qflare_db_pool_connections',
      help: 'Connections of this process to PostgreSQL by the role that they work as: total, idle, and requests that wait for one (waiting). Of a process: sum',
      labelNames: ['db_role', 'state'],
      registers,
    }),
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
    exchangeQueueDepth: gauge({
      name: 'qflare_crypto_queue_depth',
      help: 'Exchanges that wait for a core',
      registers,
    }),
    cryptoSeconds: new Histogram({
      name: 'qflare_crypto_operation_duration_seconds',
      help: 'Time of single operations of ML-KEM and ML-DSA, of every kind of key together, by the provider that ran them. Of a process: sum',
      labelNames: ['operation', 'provider'],
      buckets: [0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1],
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
    turnedAway: new Counter({
      name: 'qflare_turned_away_total',
      help: 'Requests that were answered 503 because too many like them were under way, most of them before they were read: exchanges and confirmations, what else anybody may ask for, or large bodies',
      labelNames: ['queue'],
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
    tlsCertificateExpiresSeconds: gauge({
      name: 'qflare_tls_certificate_expires_timestamp_seconds',
      help: 'When the certificate that the API shows expires, as Unix time; nothing without TLS. Of a process: min',
      registers,
    }),
    ready: gauge({
      name: 'qflare_ready',
      help: 'Whether a part that this process needs is well, as GET /ready says: 1 or 0. Of a process: min',
      labelNames: ['part'],
      registers,
    }),
    readyWarning: gauge({
      name: 'qflare_ready_warning',
      help: 'Whether GET /ready has a detail for a part that keeps nobody from anything yet: 1 or 0. Of a process: max',
      labelNames: ['part'],
      registers,
    }),
    sessions: gauge({
      name: 'qflare_sessions',
      help: 'Sessions of the fleet that hold key material, by what their rows say; counted once a minute. The same from every worker: max',
      labelNames: ['state'],
      registers,
    }),
    devices: gauge({
      name: 'qflare_devices',
      help: 'Devices of all organizations by status; counted once a minute. The same from every worker: max',
      labelNames: ['status'],
      registers,
    }),
    signingKeyExpiresSeconds: gauge({
      name: 'qflare_signing_key_expires_timestamp_seconds',
      help: 'When the key that signs expires, as Unix time, by its use: root, bucket, audit, attestation. The same from every worker: min',
      labelNames: ['use'],
      registers,
    }),
    kekUsesRatio: gauge({
      name: 'qflare_kek_uses_ratio',
      help: 'How often the key-encryption key that seals may have sealed, of as often as it should, by its purpose: challenge; at 1 it gets a successor. The same from every worker: max',
      labelNames: ['purpose'],
      registers,
    }),
    apiTokensEnding: gauge({
      name: 'qflare_api_tokens_ending',
      help: 'API tokens of all organizations that can be used still and end within two weeks. The same from every worker: max',
      registers,
    }),
    temporalKeys: gauge({
      name: 'qflare_temporal_keys',
      help: 'Temporal keys that were made and not destroyed yet: epoch, bucket. The same from every worker: max',
      labelNames: ['state'],
      registers,
    }),
    temporalKeysAheadSeconds: gauge({
      name: 'qflare_temporal_keys_ahead_seconds',
      help: 'For how long there are temporal keys without a gap: epoch, bucket; 0 when that of now is missing. The same from every worker: min',
      labelNames: ['state'],
      registers,
    }),
    bucketRolloverLagSeconds: gauge({
      name: 'qflare_bucket_rollover_lag_seconds',
      help: 'For how long the bucket of now has been without a key; 0 while it has one. The same from every worker: max',
      registers,
    }),
    temporalKeysOverdueSeconds: gauge({
      name: 'qflare_temporal_keys_overdue_seconds',
      help: 'Since when the oldest temporal key should be destroyed; 0 while none should. The same from every worker: max',
      registers,
    }),
    collateralEndsInSeconds: gauge({
      name: 'qflare_collateral_ends_in_seconds',
      help: 'Until the first collateral in use of all organizations ends that has not ended yet, by its kind',
      labelNames: ['kind'],
      registers,
    }),
    collateralOutOfDate: gauge({
      name: 'qflare_collateral_out_of_date',
      help: 'Collateral in use that has ended, by its kind',
      labelNames: ['kind'],
      registers,
    }),
    collateralAgeSeconds: gauge({
      name: 'qflare_collateral_age_seconds',
      help: 'Since the oldest collateral in use was issued, or fetched where it says no time, by its kind',
      labelNames: ['kind'],
      registers,
    }),
    incidentsOpen: gauge({
      name: 'qflare_incidents_open',
      help: 'Incidents of all organizations and of the service itself that nobody has acknowledged, by severity',
      labelNames: ['severity'],
      registers,
    }),
    monitorLagEntries: gauge({
      name: 'qflare_monitor_lag_entries',
      help: 'Published entries of the audit log that the security monitor has not read yet',
      registers,
    }),
    trustBundleDraftAgeSeconds: gauge({
      name: 'qflare_trust_bundle_draft_age_seconds',
      help: 'Since when a trust bundle waits for the root of trust, which is offline; 0 while none does',
      registers,
    }),
    queueJobs: gauge({
      name: 'qflare_queue_jobs',
      help: 'Runs of jobs that stand in a queue: waiting, active, delayed (until their time), failed (kept as failed). The same from every worker: max',
      labelNames: ['queue', 'state'],
      registers,
    }),
    queueLateSeconds: gauge({
      name: 'qflare_queue_late_seconds',
      help: 'Since when the run that waits longest in a queue should have begun; 0 while none is late. The same from every worker: max',
      labelNames: ['queue'],
      registers,
    }),
    jobs: new Counter({
      name: 'qflare_jobs_total',
      help: 'Runs of jobs by their result: completed, failed (it is tried again), dead (it is kept as failed), stalled',
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
    clockOffsetSeconds: gauge({
      name: 'qflare_clock_offset_seconds',
      help: 'What this process adds to its clock to have the database’s. Of a process: max of abs',
      registers,
    }),
    redisClockOffsetSeconds: gauge({
      name: 'qflare_redis_clock_offset_seconds',
      help: 'What is to be added to the clock of the queues’ Redis to have the database’s',
      registers,
    }),
    auditMergeDelaySeconds: new Histogram({
      name: 'qflare_audit_merge_delay_seconds',
      help: 'Time from an event to the published checkpoint that covers it',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600],
      registers,
    }),
    auditOutboxDepth: gauge({
      name: 'qflare_audit_outbox_depth',
      help: 'Events that are not in the log yet; no more than 100,000 are counted',
      registers,
    }),
    auditOutboxAgeSeconds: gauge({
      name: 'qflare_audit_outbox_age_seconds',
      help: 'Age of the oldest event that is not in the log yet; 0 while none waits. The same from every sequencer and candidate: max',
      registers,
    }),
    auditLogChecks: new Counter({
      name: 'qflare_audit_log_checks_total',
      help: 'Checks of the whole stored log against what was signed, by result: well, difference, failed (nothing is known). Of a process: sum',
      labelNames: ['result'],
      registers,
    }),
    auditLogSize: gauge({
      name: 'qflare_audit_log_size',
      help: 'Entries of the audit log, as of its newest published checkpoint',
      registers,
    }),
    auditWitnessAlarms: gauge({
      name: 'qflare_audit_witness_alarms',
      help: 'Witnesses that say they hold another log under our name',
      registers,
    }),
    auditCheckpointAgeSeconds: gauge({
      name: 'qflare_audit_checkpoint_age_seconds',
      help: 'Age of the newest published checkpoint; an idle log signs one every minute',
      registers,
    }),
  }
}

export type Metrics = ReturnType<typeof createMetrics>
