import { type Dashboard, lines, stack, stat } from './describe.ts'
import { answering, highest, OURS, OURS_OR_DONE, of, quantile, share, total, zeroWhileUp } from './promql.ts'

const requests = 'qflare_http_request_duration_seconds'

/** Shown whether or not something answers: most fire when nothing does. */
const firing = 'ALERTS{alertname=~"Qflare.+",alertstate="firing"}'

/** A short one shows that it is over, a long one that it was no moment. */
const windows = ['5m', '1h', '6h'] as const
const exchanges = 'qflare_exchanges_total'

function burnOfFailures(window: string): string {
  const failed = `sum(rate(${of(exchanges, OURS)}[${window}]))`
  return zeroWhileUp(`${failed} / (sum(rate(${of(exchanges, OURS_OR_DONE)}[${window}])) > 0) / 0.001`)
}

function burnOfSlowness(window: string): string {
  const opened = 'route="/v1/exchanges",status="201"'
  const fast = `sum(rate(${of(`${requests}_bucket`, `${opened},le="0.25"`)}[${window}]))`
  return zeroWhileUp(`(1 - ${fast} / (sum(rate(${of(`${requests}_count`, opened)}[${window}])) > 0)) / 0.01`)
}

export const overview: Dashboard = {
  uid: 'qflare-overview',
  title: 'Overview and objectives',
  description:
    'Whether QFLARE is well, and what it owes its fleet. The others say why it is not: the list is at the top right.',
  sections: [
    {
      title: 'Is it well?',
      panels: [
        stat(
          {
            id: 1,
            title: 'Alerts that fire',
            unit: 'short',
            normal: 'none.',
            otherwise: 'their names are in the list below; each says in its annotations what to do first.',
            steps: { bad: 1 },
          },
          `count(${firing}) or 0 * count(${answering})`,
        ),
        stat(
          {
            id: 2,
            title: 'Processes away',
            alerts: ['QflareRoleAbsent', 'QflareProcessDown'],
            unit: 'short',
            normal: 'none; one at a time during a rolling restart.',
            otherwise: 'ask the process itself (`GET /ready` on its operator port), then read its log.',
            steps: { bad: 1 },
          },
          `count(${of('up')}) - sum(${of('up')})`,
        ),
        stat(
          {
            id: 3,
            title: 'Exchanges we fail',
            alerts: ['QflareExchangeErrorsFast', 'QflareExchangeErrorsSlow'],
            unit: 'percentunit',
            normal: 'none: refusals are the fault of who asks, and are not counted here.',
            otherwise:
              '`unavailable` is PostgreSQL or the temporal key store, `overloaded` too few cores: the dashboard of the fleet says which.',
            steps: { warn: 0.001, bad: 0.01 },
          },
          share(exchanges, OURS, OURS_OR_DONE),
        ),
        stat(
          {
            id: 4,
            title: 'Slowest 1 % exchanges',
            alerts: ['QflareExchangeLatencyFast', 'QflareExchangeLatencySlow'],
            unit: 's',
            normal: 'tens of milliseconds; 0 when nobody exchanges.',
            otherwise: 'look at the queue for a core (fleet), then at PostgreSQL (workers).',
            steps: { warn: 0.25, bad: 0.5 },
          },
          quantile(0.99, 'qflare_exchange_duration_seconds'),
        ),
        stat(
          {
            id: 5,
            title: 'Requests with 5xx',
            unit: 'percentunit',
            normal: 'none.',
            otherwise: 'the log has a line for each, with `requestId` and the error.',
            steps: { warn: 0.001, bad: 0.01 },
          },
          share(`${requests}_count`, 'status=~"5.."'),
        ),
        stat(
          {
            id: 6,
            title: 'Bucket without a key',
            alerts: ['QflareBucketRolloverLate'],
            unit: 's',
            normal: '0.',
            otherwise: 'exchanges end within ten minutes when no worker makes keys: the dashboard of temporal keys.',
            steps: { warn: 1, bad: 30 },
          },
          highest('qflare_bucket_rollover_lag_seconds'),
        ),
        stat(
          {
            id: 7,
            title: 'Checkpoint’s age',
            alerts: ['QflareCheckpointStale'],
            unit: 's',
            normal: 'below a minute.',
            otherwise: 'no sequencer signs: the dashboard of the audit log.',
            steps: { warn: 120, bad: 180 },
          },
          highest('qflare_audit_checkpoint_age_seconds'),
        ),
        stat(
          {
            id: 8,
            title: 'Critical incidents',
            alerts: ['QflareIncidentsCritical'],
            unit: 'short',
            normal: 'none that nobody has acknowledged.',
            otherwise: '`qflare incidents list`, then `qflare incidents show ID`.',
            steps: { bad: 1 },
          },
          highest('qflare_incidents_open', { labels: 'severity="critical"' }),
        ),
      ],
    },
    {
      title: 'Objectives',
      panels: [
        lines(
          {
            id: 31,
            title: 'Exchanges that do not fail: how fast 0.1 % in 30 days is used up',
            alerts: ['QflareExchangeErrorsFast', 'QflareExchangeErrorsSlow'],
            unit: 'short',
            normal: 'below 1: at 1 the budget is gone after 30 days.',
            otherwise: '14 for an hour is 2 % of it; the fleet’s dashboard says what fails.',
            steps: { warn: 6, bad: 14.4 },
          },
          ...windows.map((window) => ({ expr: burnOfFailures(window), legend: window })),
        ),
        lines(
          {
            id: 32,
            title: 'Exchanges opened within 250 ms: how fast 1 % in 30 days is used up',
            alerts: ['QflareExchangeLatencyFast', 'QflareExchangeLatencySlow'],
            unit: 'short',
            normal: 'below 1: at 1 the budget is gone after 30 days.',
            otherwise: 'the queue for a core (fleet), then PostgreSQL (workers).',
            steps: { warn: 6, bad: 14.4 },
          },
          ...windows.map((window) => ({ expr: burnOfSlowness(window), legend: window })),
        ),
      ],
    },
    {
      title: 'Traffic',
      panels: [
        stack(
          {
            id: 21,
            title: 'Requests by status',
            unit: 'reqps',
            normal: 'the shape of your fleet: a wave every five minutes, little 4xx.',
            otherwise:
              '5xx is ours. Much 4xx at once is a release of devices that went wrong, or somebody who tries things.',
          },
          {
            expr: zeroWhileUp(
              `sum by (class) (label_replace(rate(${of(`${requests}_count`)}[$__rate_interval]), "class", "\${1}xx", "status", "(.).."))`,
              'class',
            ),
            legend: '{{class}}',
          },
        ),
        lines(
          {
            id: 22,
            title: 'Time of requests',
            unit: 's',
            normal: 'p50 of a few milliseconds, p99 of tens.',
            otherwise: 'one route or all? The log has `durationMs` and `route`. All: CPU and PostgreSQL.',
          },
          { expr: quantile(0.5, requests), legend: 'p50' },
          { expr: quantile(0.95, requests), legend: 'p95' },
          { expr: quantile(0.99, requests), legend: 'p99' },
        ),
        stack(
          {
            id: 23,
            title: 'Exchanges',
            unit: 'cps',
            normal: 'as many `established` as `opened`.',
            otherwise:
              'opened and not established: devices do not get or do not believe the answer. Refused: see its codes at the fleet.',
          },
          { expr: total(exchanges, { labels: 'result="opened"' }), legend: 'opened' },
          { expr: total(exchanges, { labels: 'result="established"' }), legend: 'established' },
          { expr: total(exchanges, { labels: 'result!~"opened|established"' }), legend: 'refused' },
        ),
        lines(
          {
            id: 24,
            title: 'Alerts',
            unit: 'short',
            normal: 'none.',
            otherwise: 'each says in its annotations what to do first.',
          },
          {
            expr: `count by (alertname) (${firing}) or on() label_replace(0 * count(${answering}), "alertname", "none", "", "")`,
            legend: '{{alertname}}',
          },
        ),
      ],
    },
  ],
}
