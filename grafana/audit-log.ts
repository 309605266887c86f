import { type Dashboard, lines, stat } from './describe.ts'
import { highest, inLastDay, perSecond, quantile, total } from './promql.ts'

const mergeDelay = 'qflare_audit_merge_delay_seconds'

export const auditLog: Dashboard = {
  uid: 'qflare-audit-log',
  title: 'Audit log',
  description: 'From an event to the signed checkpoint that covers it, and who watches the log.',
  sections: [
    {
      title: 'Is it well?',
      panels: [
        stat(
          {
            id: 1,
            title: 'Checkpoint’s age',
            alerts: ['QflareCheckpointStale'],
            unit: 's',
            normal: 'below a minute: an idle log signs one every minute.',
            otherwise:
              'no sequencer signs: is one running, does it reach PostgreSQL, may it write its checkpoint file?',
            steps: { warn: 120, bad: 300 },
          },
          highest('qflare_audit_checkpoint_age_seconds'),
        ),
        stat(
          {
            id: 2,
            title: 'Oldest event waiting',
            alerts: ['QflareSequencerLag'],
            unit: 's',
            normal: 'below a second.',
            otherwise: 'the sequencer stands, or is slower than the events come.',
            steps: { warn: 10, bad: 60 },
          },
          highest('qflare_audit_outbox_age_seconds'),
        ),
        stat(
          {
            id: 3,
            title: 'Events waiting',
            unit: 'short',
            normal: 'tens.',
            otherwise: 'rising: the sequencer stands, or is too slow. Nothing is lost: it is in PostgreSQL.',
            steps: { warn: 1_000, bad: 10_000 },
          },
          highest('qflare_audit_outbox_depth'),
        ),
        stat(
          {
            id: 4,
            title: 'To a checkpoint, p99',
            unit: 's',
            normal: 'below a second.',
            otherwise: 'the disk of PostgreSQL, or of the checkpoint file.',
            steps: { warn: 5, bad: 60 },
          },
          quantile(0.99, mergeDelay),
        ),
        stat(
          {
            id: 5,
            title: 'Differences found',
            alerts: ['QflareLogVerificationFailed'],
            unit: 'short',
            normal: '0, always.',
            otherwise:
              'the stored log is not what was signed: somebody changed it. Touch nothing, `qflare audit check`, docs/operations.md.',
            steps: { bad: 1 },
          },
          inLastDay('qflare_audit_log_checks_total', 'result="difference"'),
        ),
        stat(
          {
            id: 6,
            title: 'Witnesses objecting',
            alerts: ['QflareWitnessAlarm'],
            unit: 'short',
            normal: '0, always.',
            otherwise: 'a witness holds another log under our name: docs/witness.md.',
            steps: { bad: 1 },
          },
          highest('qflare_audit_witness_alarms'),
        ),
        stat(
          {
            id: 7,
            title: 'Monitor is behind by',
            alerts: ['QflareMonitorLag'],
            unit: 'short',
            normal: 'hundreds.',
            otherwise: '`monitor-events` fails or does not run: nothing is found of what happens meanwhile.',
            steps: { warn: 1_000, bad: 5_000 },
          },
          highest('qflare_monitor_lag_entries'),
        ),
        stat(
          {
            id: 8,
            title: 'Entries',
            unit: 'short',
            normal: 'it only grows.',
            otherwise: 'smaller than before is another database: stop, docs/operations.md.',
          },
          highest('qflare_audit_log_size'),
        ),
      ],
    },
    {
      title: 'Sequencer',
      panels: [
        lines(
          {
            id: 21,
            title: 'What grows old',
            alerts: ['QflareCheckpointStale', 'QflareSequencerLag'],
            unit: 's',
            normal: 'a saw below a minute.',
            otherwise: 'a ramp: no sequencer signs.',
            steps: { warn: 120, bad: 300 },
          },
          { expr: highest('qflare_audit_checkpoint_age_seconds'), legend: 'checkpoint' },
          { expr: highest('qflare_audit_outbox_age_seconds'), legend: 'oldest event that waits' },
        ),
        lines(
          {
            id: 22,
            title: 'From event to checkpoint',
            unit: 's',
            normal: 'tens to hundreds of milliseconds.',
            otherwise: 'the disk of PostgreSQL, or of the checkpoint file.',
          },
          { expr: quantile(0.5, mergeDelay), legend: 'p50' },
          { expr: quantile(0.95, mergeDelay), legend: 'p95' },
          { expr: quantile(0.99, mergeDelay), legend: 'p99' },
        ),
        lines(
          {
            id: 23,
            title: 'Events waiting, over time',
            unit: 'short',
            normal: 'peaks that go away.',
            otherwise: 'a ramp: the sequencer stands, or is too slow.',
            steps: { warn: 1_000, bad: 10_000 },
          },
          { expr: highest('qflare_audit_outbox_depth'), legend: 'events' },
        ),
        lines(
          {
            id: 24,
            title: 'New entries',
            unit: 'cps',
            normal: 'the shape of your fleet.',
            otherwise: '0 with traffic: the sequencer stands.',
          },
          { expr: `sum(${perSecond(`${mergeDelay}_count`)})`, legend: 'entries' },
        ),
      ],
    },
    {
      title: 'Who watches it',
      panels: [
        lines(
          {
            id: 31,
            title: 'Checks of the whole log',
            alerts: ['QflareLogVerificationFailed'],
            unit: 'cps',
            normal: 'one a night, `well`.',
            otherwise: '`failed` knows nothing: run `qflare audit check` by hand.',
          },
          { expr: total('qflare_audit_log_checks_total', { by: 'result' }), legend: '{{result}}' },
        ),
        lines(
          {
            id: 32,
            title: 'What the monitor has not read, over time',
            alerts: ['QflareMonitorLag'],
            unit: 'short',
            normal: 'peaks that go away.',
            otherwise: 'a ramp: `qflare jobs failed`.',
            steps: { warn: 1_000, bad: 5_000 },
          },
          { expr: highest('qflare_monitor_lag_entries'), legend: 'entries' },
        ),
      ],
    },
  ],
}
