import { incidentStatuses } from '../../protocol/monitor/incident.ts'
import { incidentSeverities, monitorRuleNames } from '../../protocol/monitor/rules.ts'
import { defineCommand } from './define-command.ts'
import { idFlag } from './parse-values.ts'
import { formatDistance } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openIncidentsOf, operatorNotes } from './settings.ts'

export const incidentsList = defineCommand({
  name: 'incidents list',
  summary: 'Lists what the security monitor found, the newest first; filters must all hold.',
  flags: {
    status: { type: 'string', value: 'STATUS', choices: incidentStatuses, help: 'only those of this status' },
    severity: { type: 'string', value: 'SEVERITY', choices: incidentSeverities, help: 'only those of this severity' },
    rule: { type: 'string', value: 'RULE', choices: monitorRuleNames, help: 'only those of this rule' },
    device: { ...idFlag, expects: 'the id of a device', help: 'only those in which this device is' },
    ...listFlags,
  },
  examples: [
    'qflare incidents list --status open',
    'qflare incidents list --severity critical --all',
    'qflare incidents list --device 0199b0a4-7e1c-7000-8000-000000000001 --json',
  ],
  notes: `An admin of the service sees those of the service itself too. What each rule means, and what anybody on the network can cause, is in incidents.md.\n\n${listNotes}\n\n${operatorNotes}`,
  async run({ values }) {
    const incidents = await openIncidentsOf(values)
    const now = Date.now()
    const { status, severity, rule, device: deviceId } = values
    await printList(values, {
      what: 'incidents',
      read: (page) => incidents.listIncidents({ ...page, status, severity, rule, deviceId }),
      columns: {
        ID: ({ id }) => id,
        SEVERITY: (incident) => incident.severity,
        STATUS: (incident) => incident.status,
        RULE: (incident) => incident.rule,
        COUNT: ({ count }) => String(count),
        DEVICES: ({ devices }) => String(devices),
        OPENED: ({ openedAt }) => formatDistance(openedAt, now),
        LAST: ({ lastAt }) => formatDistance(lastAt, now),
        ABOUT: ({ about }) => about,
      },
    })
    return undefined
  },
})
