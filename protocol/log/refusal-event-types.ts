/** Of `auditEventTypes`, which holds them to its shape: what somebody was refused without anything else being stored. */
export const refusalEventTypes = {
  'access.refused': {
    severity: 'warning',
    meaning:
      'Somebody with good credentials asked for what they do not allow; once a minute for each caller and route.',
    subject: [],
    data: ['route'],
  },
  'access.elsewhere': {
    severity: 'warning',
    meaning:
      'Somebody with good credentials asked for ids that nothing in the organization has; once a minute for each caller and route.',
    subject: [],
    data: ['since', 'route', 'count'],
  },
  'exchange.refused': {
    severity: 'warning',
    meaning: 'Exchanges in the name of a device were refused; once a minute for each device.',
    subject: ['deviceId'],
    data: ['since', 'signature', 'replayed', 'window', 'offsetBuckets', 'inactive'],
  },
  'api_token.refused': {
    severity: 'warning',
    meaning: 'An API token was refused; once a minute for each token.',
    subject: ['apiTokenId'],
    data: ['since', 'secret', 'ended'],
  },
  'enrollment_token.refused': {
    severity: 'warning',
    meaning: 'An enrolment token was refused; once a minute for each token.',
    subject: ['enrollmentTokenId'],
    data: ['since', 'secret', 'used', 'ended'],
  },
} as const
