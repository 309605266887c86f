import { type Dashboard, lines, stack, stat } from './describe.ts'
import { highest, most, OURS, OURS_OR_DONE, of, quantile, share, total, zeroWhileUp } from './promql.ts'

const exchanges = 'qflare_exchanges_total'
const exchangeSeconds = 'qflare_exchange_duration_seconds'
const roundKeys = 'qflare_round_keys_total'

export const fleet: Dashboard = {
  uid: 'qflare-fleet',
  title: 'Fleet and exchanges',
  description: 'Devices, their exchanges and sessions, and the keys of rounds.',
  sections: [
    {
      title: 'Is it well?',
      panels: [
        stat(
          {
            id: 1,
            title: 'Exchanges we fail',
            alerts: ['QflareExchangeErrorsFast', 'QflareExchangeErrorsSlow'],
            unit: 'percentunit',
            normal: 'none.',
            otherwise:
              '`unavailable` is PostgreSQL or the temporal key store, `overloaded` too few cores, `internal` a fault of ours: the log has each.',
            steps: { warn: 0.001, bad: 0.01 },
          },
          share(exchanges, OURS, OURS_OR_DONE),
        ),
        stat(
          {
            id: 2,
            title: 'Exchanges we refuse',
            unit: 'percentunit',
            normal: 'below 5 %: devices with a wrong clock, devices that were revoked.',
            otherwise: 'the codes are below, and docs/errors.md says what each means.',
            steps: { warn: 0.05, bad: 0.2 },
          },
          share(exchanges, 'result!~"opened|established|internal|unavailable|overloaded"'),
        ),
        stat(
          {
            id: 3,
            title: 'Opening, slowest 1 %',
            alerts: ['QflareExchangeLatencyFast', 'QflareExchangeLatencySlow'],
            unit: 's',
            normal: 'tens of milliseconds; 0 when nobody exchanges.',
            otherwise: 'is the queue for a core long? Then more API processes. Otherwise PostgreSQL.',
            steps: { warn: 0.25, bad: 0.5 },
          },
          quantile(0.99, exchangeSeconds, { labels: 'step="opened"' }),
        ),
        stat(
          {
            id: 4,
            title: 'Waiting for a core',
            unit: 'short',
            normal: 'none, but for moments after a restart of everything.',
            otherwise: 'more API processes, or more cores for them.',
            steps: { warn: 50, bad: 200 },
          },
          highest('qflare_crypto_queue_depth'),
        ),
        stat(
          {
            id: 5,
            title: 'Devices in quarantine',
            unit: 'short',
            normal: 'what you know of.',
            otherwise:
              '`qflare device list --status quarantined`; many at once are a release of their software without reference values.',
            steps: { warn: 1 },
          },
          zeroWhileUp(highest('qflare_devices', { labels: 'status="QUARANTINED"' })),
        ),
        stat(
          {
            id: 6,
            title: 'Round keys refused',
            unit: 'percentunit',
            normal: 'the devices of a federation that do not attest, or are away.',
            otherwise: 'the codes are below; other devices of the round have their keys all the same.',
            steps: { warn: 0.1, bad: 0.5 },
          },
          share(roundKeys, 'result!="given"'),
        ),
        stat(
          {
            id: 7,
            title: 'Over a limit',
            unit: 'reqps',
            normal: 'near 0.',
            otherwise: 'which limit, says the panel below; the limits themselves docs/operations.md.',
            steps: { warn: 1, bad: 50 },
          },
          total('qflare_rate_limited_total'),
        ),
        stat(
          {
            id: 8,
            title: 'Sessions in use',
            unit: 'short',
            normal: 'about one for each device that is on.',
            otherwise: 'a fall is a fleet that is cut off, or keys that were lost.',
          },
          zeroWhileUp(highest('qflare_sessions', { labels: 'state="ACTIVE"' })),
        ),
      ],
    },
    {
      title: 'Fleet',
      panels: [
        stack(
          {
            id: 21,
            title: 'Devices by status',
            unit: 'short',
            normal: 'nearly all ACTIVE.',
            otherwise: 'who changed it, is in the audit log: events `device.…`.',
          },
          { expr: zeroWhileUp(highest('qflare_devices', { by: 'status' }), 'status'), legend: '{{status}}' },
        ),
        stack(
          {
            id: 22,
            title: 'Sessions by state',
            unit: 'short',
            normal: 'mostly ACTIVE, few PENDING.',
            otherwise: 'many PENDING: devices do not get the answer, or do not believe it.',
          },
          { expr: zeroWhileUp(highest('qflare_sessions', { by: 'state' }), 'state'), legend: '{{state}}' },
        ),
      ],
    },
    {
      title: 'Exchanges',
      panels: [
        lines(
          {
            id: 31,
            title: 'Exchanges by result',
            unit: 'cps',
            normal: '`opened` and `established`, one like the other.',
            otherwise: 'docs/errors.md has each code; these eight are the most frequent.',
          },
          { expr: most(total(exchanges, { by: 'result' })), legend: '{{result}}' },
        ),
        lines(
          {
            id: 32,
            title: 'Time of exchanges',
            alerts: ['QflareExchangeLatencyFast', 'QflareExchangeLatencySlow'],
            unit: 's',
            normal: 'opening takes longer than establishing: a decapsulation and two signatures.',
            otherwise: 'both slow: CPU or PostgreSQL. Only opening: the queue for a core.',
          },
          { expr: quantile(0.5, exchangeSeconds, { labels: 'step="opened"' }), legend: 'opened p50' },
          { expr: quantile(0.99, exchangeSeconds, { labels: 'step="opened"' }), legend: 'opened p99' },
          { expr: quantile(0.5, exchangeSeconds, { labels: 'step="established"' }), legend: 'established p50' },
          { expr: quantile(0.99, exchangeSeconds, { labels: 'step="established"' }), legend: 'established p99' },
        ),
        lines(
          {
            id: 33,
            title: 'Time of cryptography, p95',
            unit: 's',
            normal: 'below a millisecond for native, a few for portable.',
            otherwise: 'twice as slow as yesterday: the cores are taken by others.',
          },
          {
            expr: most(quantile(0.95, 'qflare_crypto_operation_duration_seconds', { by: 'operation' })),
            legend: '{{operation}}',
          },
        ),
        lines(
          {
            id: 34,
            title: 'Exchanges that wait, by process',
            unit: 'short',
            normal: '0.',
            otherwise: 'at its length (QFLARE_EXCHANGE_QUEUE) more are answered `overloaded`.',
            steps: { warn: 50, bad: 200 },
          },
          { expr: most(of('qflare_crypto_queue_depth')), legend: '{{instance}}' },
        ),
      ],
    },
    {
      title: 'Rounds and limits',
      panels: [
        stack(
          {
            id: 41,
            title: 'Round keys',
            unit: 'cps',
            normal: '`given`, when rounds are opened.',
            otherwise: 'docs/errors.md has each code.',
          },
          { expr: most(total(roundKeys, { by: 'result' })), legend: '{{result}}' },
        ),
        lines(
          {
            id: 42,
            title: 'Requests over a limit, by limit, and turned away, by queue',
            unit: 'reqps',
            normal: 'near 0.',
            otherwise:
              '`device`: one device asks too often. `address`: many behind one address, or a flood. `organization`: raise its limit, or ask it. `exchanges`, `open_work`: more comes than a process can work on, a flood or a fleet that comes back; devices with a pass go first.',
          },
          { expr: total('qflare_rate_limited_total', { by: 'limit' }), legend: '{{limit}}' },
          { expr: total('qflare_turned_away_total', { by: 'queue' }), legend: '{{queue}}' },
        ),
      ],
    },
  ],
}
