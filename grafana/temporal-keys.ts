import { type Dashboard, lines, stat } from './describe.ts'
import { highest, lowest, most, of, total, zeroWhileUp } from './promql.ts'

export const temporalKeys: Dashboard = {
  uid: 'qflare-temporal-keys',
  title: 'Temporal keys',
  description:
    'Keys that are made ahead of their time and destroyed after it, the clocks that decide when, and the keys that sign.',
  sections: [
    {
      title: 'Is it well?',
      panels: [
        stat(
          {
            id: 1,
            title: 'Bucket without a key',
            alerts: ['QflareBucketRolloverLate'],
            unit: 's',
            normal: '0.',
            otherwise:
              'no exchange until a worker makes one: is a worker running, and does it reach PostgreSQL and the temporal key store?',
            steps: { warn: 1, bad: 30 },
          },
          highest('qflare_bucket_rollover_lag_seconds'),
        ),
        stat(
          {
            id: 2,
            title: 'Bucket keys ahead',
            alerts: ['QflareNoNextTemporalKey'],
            unit: 's',
            normal: 'five to ten minutes: the rest of this bucket, and the next.',
            otherwise: 'at 0 exchanges end. `make-temporal-keys` fails, or no worker runs.',
            steps: { warn: 270, bad: 120, below: true },
          },
          lowest('qflare_temporal_keys_ahead_seconds', { labels: 'state="bucket"' }),
        ),
        stat(
          {
            id: 3,
            title: 'Epoch keys ahead',
            alerts: ['QflareNoNextTemporalKey'],
            unit: 's',
            normal: '75 to 80 minutes.',
            otherwise: 'at 0 sessions end. `make-temporal-keys` fails, or no worker runs.',
            steps: { warn: 4_200, bad: 1_800, below: true },
          },
          lowest('qflare_temporal_keys_ahead_seconds', { labels: 'state="epoch"' }),
        ),
        stat(
          {
            id: 4,
            title: 'Destruction late by',
            alerts: ['QflareTemporalKeysOverdue'],
            unit: 's',
            normal: '0; a few seconds at each end of an epoch.',
            otherwise:
              'what should be gone could be stolen: `destroy-temporal-keys` fails, or the clocks do not agree.',
            steps: { warn: 30, bad: 300 },
          },
          highest('qflare_temporal_keys_overdue_seconds'),
        ),
        stat(
          {
            id: 5,
            title: 'Clock off by',
            alerts: ['QflareClockOffset'],
            unit: 's',
            normal: 'below 50 ms.',
            otherwise: 'beyond 5 s a process serves nothing: synchronize its machine and the database’s.',
            steps: { warn: 1, bad: 5 },
          },
          `max(abs(${of('qflare_clock_offset_seconds')}))`,
        ),
        stat(
          {
            id: 6,
            title: 'Key jobs that fail',
            alerts: ['QflareJobDead'],
            unit: 'cps',
            normal: 'none.',
            otherwise: '`qflare jobs failed` says why.',
            steps: { bad: 0.001 },
          },
          total('qflare_jobs_total', { labels: 'queue="keys",result=~"failed|dead|stalled"' }),
        ),
        stat(
          {
            id: 7,
            title: 'Signing key ends in',
            alerts: ['QflareSigningKeyEnds'],
            unit: 's',
            normal: 'weeks: each is replaced long before its end.',
            otherwise: '`rotate-signing-keys` fails; for the root see the ceremony in docs/operations.md.',
            steps: { warn: 604_800, bad: 86_400, below: true },
          },
          lowest('qflare_signing_key_expires_timestamp_seconds') + ' - time()',
        ),
        stat(
          {
            id: 8,
            title: 'Trust draft waits',
            alerts: ['QflareTrustBundleDraftWaits'],
            unit: 's',
            normal: '0.',
            otherwise:
              'the root of trust is offline: `qflare root draft`, `root sign` and `root submit`, docs/operations.md.',
            steps: { warn: 3_600, bad: 604_800 },
          },
          highest('qflare_trust_bundle_draft_age_seconds'),
        ),
      ],
    },
    {
      title: 'Temporal keys',
      panels: [
        lines(
          {
            id: 21,
            title: 'Time for which there are keys',
            alerts: ['QflareNoNextTemporalKey'],
            unit: 's',
            normal: 'a saw: bucket keys between five and ten minutes, epoch keys near 80.',
            otherwise: 'a line that falls without rising: nobody makes keys.',
          },
          { expr: lowest('qflare_temporal_keys_ahead_seconds', { by: 'state' }), legend: '{{state}}' },
        ),
        lines(
          {
            id: 22,
            title: 'Temporal keys that are alive',
            unit: 'short',
            normal: '16 of epochs and 2 of buckets, a few more within a grace.',
            otherwise: 'rising: nobody destroys. Falling: nobody makes.',
          },
          { expr: highest('qflare_temporal_keys', { by: 'state' }), legend: '{{state}}' },
        ),
        lines(
          {
            id: 23,
            title: 'Late',
            alerts: ['QflareBucketRolloverLate', 'QflareTemporalKeysOverdue'],
            unit: 's',
            normal: '0.',
            otherwise: 'see the numbers above.',
          },
          { expr: highest('qflare_bucket_rollover_lag_seconds'), legend: 'bucket without a key' },
          { expr: highest('qflare_temporal_keys_overdue_seconds'), legend: 'destruction' },
        ),
        lines(
          {
            id: 24,
            title: 'Jobs of the keys',
            alerts: ['QflareJobDead'],
            unit: 'cps',
            normal: '`completed`, about 16 a minute.',
            otherwise: '`qflare jobs failed`.',
          },
          { expr: total('qflare_jobs_total', { by: 'result', labels: 'queue="keys"' }), legend: '{{result}}' },
        ),
      ],
    },
    {
      title: 'Clocks',
      panels: [
        lines(
          {
            id: 31,
            title: 'Clocks of the processes against the database’s',
            alerts: ['QflareClockOffset'],
            unit: 's',
            normal: 'a flat line near 0.',
            otherwise: 'a line that leaves the others is a machine without NTP; all of them, the database’s.',
          },
          { expr: most(`abs(${of('qflare_clock_offset_seconds')})`), legend: '{{instance}}' },
        ),
        lines(
          {
            id: 32,
            title: 'Clock of the queues’ Redis against the database’s',
            alerts: ['QflareClockOffset'],
            unit: 's',
            normal: 'near 0; 0 without REDIS_URL.',
            otherwise: 'jobs run late or early: synchronize its machine.',
          },
          { expr: zeroWhileUp(`max(abs(${of('qflare_redis_clock_offset_seconds')}))`), legend: 'Redis' },
        ),
      ],
    },
    {
      title: 'Keys that last',
      panels: [
        lines(
          {
            id: 41,
            title: 'Key-encryption key used up',
            alerts: ['QflareKekOverused'],
            width: 24,
            unit: 'percentunit',
            normal: 'below 100 %: at that it gets a successor, and begins anew.',
            otherwise: '`rotate-keks` fails, or no worker runs. At 200 % no challenge is sealed any more.',
            steps: { warn: 1, bad: 1.5 },
          },
          { expr: highest('qflare_kek_uses_ratio', { by: 'purpose' }), legend: '{{purpose}}' },
        ),
      ],
    },
  ],
}
