import { type Dashboard, lines, stat } from './describe.ts'
import { highest, lowest, most, noneWhileUp, of, perSecond, quantile, total, zeroWhileUp } from './promql.ts'

const waiting = of('qflare_db_pool_connections', 'state="waiting"')

export const workers: Dashboard = {
  uid: 'qflare-workers',
  title: 'Workers, PostgreSQL and processes',
  description: 'Queues and their jobs, connections to PostgreSQL, and what the processes use.',
  sections: [
    {
      title: 'Is it well?',
      panels: [
        stat(
          {
            id: 1,
            title: 'Parts not well',
            alerts: ['QflareNotReady', 'QflareCustodyUnreachable'],
            unit: 'short',
            normal: 'none.',
            otherwise: '`GET /ready` of that process says why.',
            steps: { bad: 1 },
          },
          zeroWhileUp(`count(${of('qflare_ready')} == 0)`),
        ),
        stat(
          {
            id: 2,
            title: 'Queue late by',
            alerts: ['QflareQueueStuck'],
            unit: 's',
            normal: '0.',
            otherwise: 'no worker takes jobs, or too few do: `qflare jobs list`.',
            steps: { warn: 60, bad: 300 },
          },
          highest('qflare_queue_late_seconds'),
        ),
        stat(
          {
            id: 3,
            title: 'Jobs kept as failed',
            alerts: ['QflareJobDead'],
            unit: 'short',
            normal: 'none.',
            otherwise: '`qflare jobs failed` says why; `qflare jobs retry ID` when it is mended.',
            steps: { warn: 1, bad: 10 },
          },
          `sum(${highest('qflare_queue_jobs', { by: 'queue', labels: 'state="failed"' })})`,
        ),
        stat(
          {
            id: 4,
            title: 'Wait for PostgreSQL',
            alerts: ['QflarePoolExhausted'],
            unit: 'short',
            normal: '0.',
            otherwise: 'is PostgreSQL slow? Otherwise raise QFLARE_DATABASE_CONNECTIONS.',
            steps: { warn: 1, bad: 20 },
          },
          zeroWhileUp(`sum(${waiting})`),
        ),
        stat(
          {
            id: 5,
            title: 'Event loop, p99',
            unit: 's',
            normal: 'below 50 ms.',
            otherwise: 'the process has too little CPU, or does too much at once.',
            steps: { warn: 0.1, bad: 0.5 },
          },
          highest('nodejs_eventloop_lag_p99_seconds'),
        ),
        stat(
          {
            id: 6,
            title: 'File descriptors',
            unit: 'percentunit',
            normal: 'below a half.',
            otherwise: 'raise LimitNOFILE, or find who holds connections open.',
            steps: { warn: 0.5, bad: 0.8 },
          },
          `max(${of('process_open_fds')} / ${of('process_max_fds')})`,
        ),
        stat(
          {
            id: 7,
            title: 'Certificate ends in',
            alerts: ['QflareTlsCertificateEnds'],
            unit: 's',
            normal: 'weeks.',
            otherwise: 'renew the files; the service takes them by itself.',
            steps: { warn: 1_209_600, bad: 259_200, below: true },
            words: { [-1]: 'no TLS here' },
          },
          noneWhileUp(`${lowest('qflare_tls_certificate_expires_timestamp_seconds')} - time()`),
        ),
        stat(
          {
            id: 8,
            title: 'Youngest process',
            unit: 's',
            normal: 'as old as your last deployment.',
            otherwise: 'minutes, again and again: it crashes. Its log says why.',
            steps: { warn: 120, below: true },
          },
          `time() - max(${of('process_start_time_seconds')})`,
        ),
      ],
    },
    {
      title: 'Readiness',
      panels: [
        lines(
          {
            id: 51,
            title: 'Parts not well, by part',
            alerts: ['QflareNotReady', 'QflareCustodyUnreachable'],
            unit: 'short',
            normal: '`none`.',
            otherwise: '`GET /ready` of the process says why; docs/operations.md has each part.',
            steps: { bad: 1 },
          },
          { expr: most(zeroWhileUp(`count by (part) (${of('qflare_ready')} == 0)`, 'part')), legend: '{{part}}' },
        ),
        lines(
          {
            id: 52,
            title: 'Parts that are well, with a warning',
            alerts: ['QflareTemporalStoreAway'],
            unit: 'short',
            normal: '`none`.',
            otherwise: 'it serves on with what it holds: `GET /ready` says what it lacks.',
            steps: { warn: 1 },
          },
          {
            expr: most(zeroWhileUp(`count by (part) (${of('qflare_ready_warning')} == 1)`, 'part')),
            legend: '{{part}}',
          },
        ),
      ],
    },
    {
      title: 'Jobs',
      panels: [
        lines(
          {
            id: 21,
            title: 'Runs by result',
            alerts: ['QflareJobDead'],
            unit: 'cps',
            normal: '`completed`.',
            otherwise: '`failed` is tried again, `dead` is not: `qflare jobs failed`.',
          },
          { expr: total('qflare_jobs_total', { by: 'result' }), legend: '{{result}}' },
        ),
        lines(
          {
            id: 22,
            title: 'Time of runs, p95',
            unit: 's',
            normal: 'keys and seconds below a second; long takes its time.',
            otherwise: 'is PostgreSQL slow?',
          },
          { expr: quantile(0.95, 'qflare_job_duration_seconds', { by: 'queue' }), legend: '{{queue}}' },
        ),
        lines(
          {
            id: 23,
            title: 'Jobs that wait or run',
            unit: 'short',
            normal: 'a few; `delayed` is until their time and not shown.',
            otherwise: 'rising: too few workers, or one that hangs.',
          },
          {
            expr: `sum by (state) (${highest('qflare_queue_jobs', { by: 'queue, state', labels: 'state!="delayed"' })})`,
            legend: '{{state}}',
          },
        ),
        lines(
          {
            id: 24,
            title: 'Late by',
            alerts: ['QflareQueueStuck'],
            unit: 's',
            normal: '0.',
            otherwise: 'no worker takes jobs of this queue.',
            steps: { warn: 60, bad: 300 },
          },
          { expr: highest('qflare_queue_late_seconds', { by: 'queue' }), legend: '{{queue}}' },
        ),
      ],
    },
    {
      title: 'PostgreSQL',
      panels: [
        lines(
          {
            id: 31,
            title: 'Connections',
            alerts: ['QflarePoolExhausted'],
            unit: 'short',
            normal: 'some idle.',
            otherwise: 'none idle: PostgreSQL is slow, or the pools are too small.',
          },
          { expr: `sum by (state) (${of('qflare_db_pool_connections', 'state=~"total|idle"')})`, legend: '{{state}}' },
        ),
        lines(
          {
            id: 32,
            title: 'Requests that wait for a connection, by role',
            alerts: ['QflarePoolExhausted'],
            unit: 'short',
            normal: '0.',
            otherwise: 'which role waits, says which pool is too small.',
          },
          { expr: zeroWhileUp(`sum by (db_role) (${waiting})`, 'db_role'), legend: '{{db_role}}' },
        ),
      ],
    },
    {
      title: 'Processes',
      panels: [
        lines(
          {
            id: 41,
            title: 'CPU, the eight busiest',
            unit: 'percentunit',
            normal: 'below 70 % of a core or two.',
            otherwise: 'more processes, or more cores.',
            width: 8,
          },
          { expr: most(perSecond('process_cpu_seconds_total')), legend: '{{instance}}' },
        ),
        lines(
          {
            id: 42,
            title: 'Memory, the eight largest',
            unit: 'bytes',
            normal: 'flat after an hour.',
            otherwise: 'a ramp over days is a leak: restart, and tell us.',
            width: 8,
          },
          { expr: most(of('process_resident_memory_bytes')), legend: '{{instance}}' },
        ),
        lines(
          {
            id: 43,
            title: 'Event loop p99, the eight slowest',
            unit: 's',
            normal: 'below 50 ms.',
            otherwise: 'too little CPU, or too much at once.',
            width: 8,
          },
          { expr: most(of('nodejs_eventloop_lag_p99_seconds')), legend: '{{instance}}' },
        ),
      ],
    },
  ],
}
