/** Of `auditEventTypes`, which holds them to its shape: what the security monitor finds and does, and what people do about it. */
export const incidentEventTypes = {
  'incident.opened': {
    severity: 'warning',
    meaning: 'The security monitor found that a rule holds; what follows of the same is counted in this incident.',
    subject: ['incidentId', 'deviceId?'],
    data: ['rule', 'about', 'severity', 'count'],
  },
  'incident.escalated': {
    severity: 'critical',
    meaning: 'An incident has become more pressing: so many devices are in it.',
    subject: ['incidentId'],
    data: ['rule', 'severity', 'devices'],
  },
  'incident.acknowledged': {
    severity: 'notice',
    meaning: 'An operator says that the incident is being looked at.',
    subject: ['incidentId'],
    data: ['rule'],
  },
  'incident.resolved': {
    severity: 'notice',
    meaning: 'An operator says that the incident is over; the same opens a new one.',
    subject: ['incidentId'],
    data: ['rule'],
  },
  'incident.responded': {
    severity: 'warning',
    meaning: 'The service did with a device what the settings of the monitor say for such an incident.',
    subject: ['incidentId', 'deviceId'],
    data: ['rule', 'response', 'sessions'],
  },
  'incident.response_withheld': {
    severity: 'warning',
    meaning: 'The service would have responded, and did not: for a dry run, or because it has responded often enough.',
    subject: ['incidentId', 'deviceId'],
    data: ['rule', 'response', 'because'],
  },
  'device.slowed': {
    severity: 'notice',
    meaning: 'The service, for an incident, lets a device ask for little until a time.',
    subject: ['deviceId'],
    data: ['until'],
  },
  'device.attestation_required': {
    severity: 'notice',
    meaning: 'The service, for an incident, gives a device no key of a round until it attests again.',
    subject: ['deviceId'],
    data: [],
  },
  'device.restrictions_lifted': {
    severity: 'notice',
    meaning: 'An operator ended what the service held a device to for an incident.',
    subject: ['deviceId'],
    data: ['restrictions'],
  },
  'incident.notice_delivered': {
    severity: 'info',
    meaning: 'The receiver of notices that whoever runs the service has set was told of the incident.',
    subject: ['incidentId'],
    data: ['notice', 'attempts'],
  },
  'incident.notice_given_up': {
    severity: 'warning',
    meaning: 'The receiver of notices was not told of the incident, and will not be.',
    subject: ['incidentId'],
    data: ['notice', 'attempts', 'because'],
  },
  'incidents.pruned': {
    severity: 'notice',
    meaning:
      'Incidents of the organization that were resolved long ago were deleted, as the retention says; their events stay.',
    subject: [],
    data: ['resolvedBefore', 'incidents'],
  },
  'monitor.settings_changed': {
    severity: 'notice',
    meaning: 'An admin changed how the security monitor works for the organization.',
    subject: [],
    data: ['settings'],
  },
} as const
