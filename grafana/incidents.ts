import { type Dashboard, lines, stack, stat } from './describe.ts'
import { highest, inLastDay, total } from './promql.ts'

export const incidents: Dashboard = {
  uid: 'qflare-incidents',
  title: 'Incidents',
  description: 'What the security monitor found, whether somebody was told, and what is refused.',
  sections: [
    {
      title: 'Is it well?',
      panels: [
        stat(
          {
            id: 1,
            title: 'Critical, open',
            alerts: ['QflareIncidentsCritical'],
            unit: 'short',
            normal: 'none.',
            otherwise:
              '`qflare incidents list`, then `qflare incidents show ID`; docs/incidents.md says what each rule means.',
            steps: { bad: 1 },
            width: 4,
          },
          highest('qflare_incidents_open', { labels: 'severity="critical"' }),
        ),
        stat(
          {
            id: 2,
            title: 'Warnings, open',
            unit: 'short',
            normal: 'few: somebody looks at them in a day.',
            otherwise: '`qflare incidents list`.',
            steps: { warn: 1, bad: 20 },
            width: 4,
          },
          highest('qflare_incidents_open', { labels: 'severity="warning"' }),
        ),
        stat(
          {
            id: 3,
            title: 'Entries not read',
            alerts: ['QflareMonitorLag'],
            unit: 'short',
            normal: 'hundreds.',
            otherwise: '`monitor-events` fails or does not run.',
            steps: { warn: 1_000, bad: 5_000 },
            width: 4,
          },
          highest('qflare_monitor_lag_entries'),
        ),
        stat(
          {
            id: 4,
            title: 'Notices given up today',
            alerts: ['QflareNoticesGivenUp'],
            unit: 'short',
            normal: '0.',
            otherwise: 'the receiver was away for a day: nobody was told. Read `qflare incidents list` yourself.',
            steps: { bad: 0.5 },
            width: 4,
          },
          inLastDay('qflare_incident_notices_total', 'result="given_up"'),
        ),
        stat(
          {
            id: 5,
            title: 'Foreign ids today',
            unit: 'short',
            normal: '0, or a script with an old id.',
            otherwise: 'the log says whose token: `ids of another organization were asked for`.',
            steps: { warn: 10, bad: 100 },
            width: 4,
          },
          inLastDay('qflare_foreign_ids_asked_total'),
        ),
        stat(
          {
            id: 6,
            title: 'Refusals untold today',
            alerts: ['QflareRefusalsUntold'],
            unit: 'short',
            normal: '0.',
            otherwise: 'a flood: the audit log has its beginning, the rate limits the rest.',
            steps: { warn: 10, bad: 1_000 },
            width: 4,
          },
          inLastDay('qflare_refusals_untold_total'),
        ),
      ],
    },
    {
      title: 'What was found, and who was told',
      panels: [
        stack(
          {
            id: 21,
            title: 'Open incidents by severity',
            alerts: ['QflareIncidentsCritical'],
            unit: 'short',
            normal: 'few, and they go.',
            otherwise: 'each has evidence: `qflare incidents show ID`.',
          },
          { expr: highest('qflare_incidents_open', { by: 'severity' }), legend: '{{severity}}' },
        ),
        lines(
          {
            id: 22,
            title: 'Notices by result',
            alerts: ['QflareNoticesGivenUp'],
            unit: 'cps',
            normal: '`delivered`, or nothing where no receiver is set.',
            otherwise: '`failed` alone: the receiver is away, or its certificate is unknown here.',
          },
          { expr: total('qflare_incident_notices_total', { by: 'result' }), legend: '{{result}}' },
        ),
      ],
    },
    {
      title: 'What is refused',
      panels: [
        lines(
          {
            id: 31,
            title: 'Requests over a limit',
            unit: 'reqps',
            normal: 'near 0.',
            otherwise: '`address_refused` is somebody who guesses.',
            width: 8,
          },
          { expr: total('qflare_rate_limited_total', { by: 'limit' }), legend: '{{limit}}' },
        ),
        lines(
          {
            id: 32,
            title: 'Refusals without an event, by reason',
            alerts: ['QflareRefusalsUntold'],
            unit: 'cps',
            normal: '0.',
            otherwise: '`outage`: the database was away too long. `subjects`, `events`: a flood.',
            width: 8,
          },
          { expr: total('qflare_refusals_untold_total', { by: 'why' }), legend: '{{why}}' },
        ),
        lines(
          {
            id: 33,
            title: 'Foreign ids asked for, over time',
            unit: 'cps',
            normal: '0.',
            otherwise: 'the log says whose token it is.',
            width: 8,
          },
          { expr: total('qflare_foreign_ids_asked_total'), legend: 'ids' },
        ),
      ],
    },
    {
      title: 'API tokens',
      panels: [
        lines(
          {
            id: 41,
            title: 'API tokens that end within two weeks',
            unit: 'short',
            normal: '0, or those that somebody is replacing.',
            otherwise: 'the event `api_token.ending` in the log of its organization says which; make another in time.',
            width: 24,
          },
          { expr: highest('qflare_api_tokens_ending'), legend: 'tokens' },
        ),
      ],
    },
  ],
}
