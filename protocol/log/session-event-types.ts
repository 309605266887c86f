/** Of `auditEventTypes`, which holds them to its shape: what becomes of sessions. */
export const sessionEventTypes = {
  'session.opened': {
    severity: 'info',
    meaning: 'The service answered an exchange; the session waits for its confirmation.',
    subject: ['deviceId', 'sessionId'],
    data: ['suite', 'bucket', 'expiresAt', 'network?'],
  },
  'session.established': {
    severity: 'info',
    meaning: 'The device proved that it has the keys of the session.',
    subject: ['deviceId', 'sessionId'],
    data: [],
  },
  'session.superseded': {
    severity: 'info',
    meaning: 'A newer session of the device took over; this one closes 60 seconds later.',
    subject: ['deviceId', 'sessionId'],
    data: ['by'],
  },
  'session.closed': {
    severity: 'info',
    meaning: 'A session that a newer one took over from is over: its 60 seconds have passed.',
    subject: ['deviceId', 'sessionId'],
    data: [],
  },
  'session.expired': {
    severity: 'info',
    meaning: 'A session reached its end.',
    subject: ['deviceId', 'sessionId'],
    data: [],
  },
  'session.timed_out': {
    severity: 'info',
    meaning: 'A session that was not confirmed ended: by time, for want of room, or because a newer one was confirmed.',
    subject: ['deviceId', 'sessionId'],
    data: [],
  },
  'session.failed': {
    severity: 'warning',
    meaning: 'A wrong confirmation ended the session.',
    subject: ['deviceId', 'sessionId'],
    data: [],
  },
  'session.revoked': {
    severity: 'notice',
    meaning:
      'A session was ended by request, with its device, its quarantine, an incident, or the identity key that it was made under.',
    subject: ['deviceId', 'sessionId'],
    data: ['with'],
  },
  'session.token_renewed': {
    severity: 'info',
    meaning: 'The device proved once more that it has the keys, and got an access token.',
    subject: ['deviceId', 'sessionId'],
    data: ['epoch'],
  },
} as const
